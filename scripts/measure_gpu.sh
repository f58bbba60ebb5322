#!/usr/bin/env bash
# All that is asked of a GPU, in one go: tests, frames per second, cost over targets, training step.
#   scripts/measure_gpu.sh [FOLDER]        tables, JSON and plots go to FOLDER (gpu_out)
# PYTHON: an interpreter with the requirements (.venv/bin/python). To try the script out without a
# GPU: DEVICE=cpu FRAMES=3. FRAMES: measured in each case (300).
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu_out}
device=${DEVICE:-cuda}
frames=${FRAMES:-300}
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
part() { # NAME COMMAND...: run it, keep what it prints, go on if it fails
    local name=$1
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" 2>&1 | tee "$out/$name.txt" || failed+=("$name")
}
bench=("$python" -m dcfst_core.cli bench --device "$device" --size 1280x720 --iterations "$frames"
    --quiet)
part tests "$python" -m pytest -m gpu -q test/core
part speed "${bench[@]}" --compare --json "$out/speed.json"
part no_graphs "${bench[@]}" --set cuda_graphs=false
part targets "${bench[@]}" \
    --sweep targets=1,2,4,8,16,32 --plot "$out/targets.png" --json "$out/targets.json"
part grid "${bench[@]}" \
    --sweep grid_size=15,21,31,41 --plot "$out/grid.png" --json "$out/grid.json"
part step "$python" -c "from dcfst_training.cli import main; main()" \
    bench step --batch 16,48 --device "$device" --json "$out/step.json"

if ((${#failed[@]})); then
    printf '\nfailed: %s; see %s/*.txt\n' "${failed[*]}" "$out"
    exit 1
fi
printf '\nall done: %s\n' "$out"
