#!/usr/bin/env bash
# All that is asked of a GPU, in one go: tests, frames a second, cost over targets, training.
#   scripts/measure_gpu.sh [FOLDER]        tables, JSON and plots go to FOLDER (gpu_out), and to
#                                          FOLDER.tar.gz
# Ends within LIMIT seconds (350) with FRAMES=60: each part has a limit of its own, and what time is
# left goes to the parts that remain. PYTHON: an interpreter with the requirements
# (.venv/bin/python). FRAMES: measured in each case (60). DATA: holds videos/ and stills/, for the
# loader and a fit (../shared/data/train). To try the script out without a GPU: DEVICE=cpu FRAMES=3.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu_out}
device=${DEVICE:-cuda}
frames=${FRAMES:-60}
limit=${LIMIT:-350}
data=${DATA:-../shared/data/train}
python=${PYTHON:-.venv/bin/python}
export PYTHONPATH="$PWD:$PWD/training${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$out"

"$python" - "$device" <<'END' || exit 1
import sys
try:
    import torch
except ImportError as error:
    sys.exit(f"expected an interpreter with PyTorch, got {sys.executable} ({error}): set PYTHON")
if sys.argv[1] == "cuda" and not torch.cuda.is_available():
    sys.exit("expected a CUDA device, found none: see nvidia-smi, or try this out with DEVICE=cpu")
END

failed=()
part() { # NAME SECONDS COMMAND...: run it, keep what it prints, go on if it fails or takes longer
    local name=$1 most=$2 left=$((limit - SECONDS)) status=0
    shift 2
    ((most > left)) && most=$left
    if ((most < 5)); then
        failed+=("$name (no time left)")
        return
    fi
    printf '\n== %s, at most %s s: %s\n' "$name" "$most" "$*"
    timeout --kill-after=5 "$most" "$@" 2>&1 | tee "$out/$name.txt"
    status=${PIPESTATUS[0]}
    ((status == 124 || status == 137)) && failed+=("$name (longer than $most s)")
    ((status != 0 && status != 124 && status != 137)) && failed+=("$name")
}
bench=("$python" -m dcfst_core.cli bench --device "$device" --size 1280x720 --iterations "$frames"
    --quiet)
train=("$python" -m dcfst_training.cli bench)
part tests 90 "$python" -m pytest -m gpu -q test/core
part speed 60 "${bench[@]}" --compare --json "$out/speed.json"
part step 45 "${train[@]}" step --batch 16,48 --device "$device" --json "$out/step.json"
if [[ -d $data/videos && -d $data/stills ]]; then
    sources=(--data.video_folders "$data/videos" --data.still_folders "$data/stills")
    recipe=(--config training/configs/gpu.yaml "${sources[@]}")
    [[ $device == cpu ]] && recipe+=(--trainer.accelerator cpu --data.batch_size 2
        --model.train_grid 9 --data.workers 1)
    part loader 30 "${train[@]}" loader "${sources[@]}" --json "$out/loader.json"
    part fit 60 "${train[@]}" fit "${recipe[@]}" --steps 30 --json "$out/fit.json" \
        --trainer.enable_progress_bar false
else
    echo "no videos/ and stills/ in $data: neither the loader nor a fit is measured; set DATA"
fi
part no_graphs 30 "${bench[@]}" --set cuda_graphs=false
part targets 60 "${bench[@]}" \
    --sweep targets=1,2,4,8,16,32 --plot "$out/targets.png" --json "$out/targets.json"
part grid 45 "${bench[@]}" \
    --sweep grid_size=15,21,31,41 --plot "$out/grid.png" --json "$out/grid.json"

tar -C "$(dirname "$out")" -czf "$out.tar.gz" "$(basename "$out")"
if ((${#failed[@]})); then
    printf '\nfailed:'
    printf ' %s;' "${failed[@]}"
    printf ' see %s/*.txt\n' "$out"
    exit 1
fi
printf '\nall done: %s\n' "$out.tar.gz"
