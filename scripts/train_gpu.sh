#!/usr/bin/env bash
# Train for some minutes on any machine with a CUDA GPU, and leave the results in small files.
#   scripts/train_gpu.sh [FOLDER]     everything goes to FOLDER (gpu_train)
# Measures 50 steps, trains for MINUTES (7) with the learning rates falling over that time, writes a
# checkpoint every minute, exports, evaluates where sequences are at hand, and packs FOLDER/results:
# files of at most 15 MB. The same command goes on with a run that was killed.
#   DATA: holds videos/ and stills/ (../shared/data/train)     RECIPE: (training/configs/gpu.yaml)
#   EVAL: sequences to track (../shared/data/dev/OTB), FRAMES of each (60)     STEPS: measured (50)
#   PYTHON: an interpreter with the requirements (.venv/bin/python)     BATCH: pairs a step (48)
# More flags of `dcfst-train fit` go after the folder. To try it out without a GPU:
#   DEVICE=cpu MINUTES=1 scripts/train_gpu.sh
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu_train}
shift || true
device=${DEVICE:-cuda}
minutes=${MINUTES:-7}
data=${DATA:-../shared/data/train}
eval_root=${EVAL:-../shared/data/dev/OTB}
python=${PYTHON:-.venv/bin/python}
export PYTHONPATH="$PWD:$PWD/training${PYTHONPATH:+:$PYTHONPATH}"
run=$out/run
results=$out/results
mkdir -p "$results"

"$python" - "$device" <<'END'
import sys
try:
    import torch, lightning
except ImportError as error:
    sys.exit(f"expected PyTorch and Lightning in {sys.executable} ({error}): set PYTHON")
if sys.argv[1] == "cuda" and not torch.cuda.is_available():
    sys.exit("expected a CUDA device, found none: see nvidia-smi, or try this out with DEVICE=cpu")
END
for part in videos stills; do
    if [[ ! -d $data/$part ]]; then
        echo "expected $data/$part; set DATA to a folder that holds videos/ and stills/" >&2
        exit 1
    fi
done

train() { "$python" -m dcfst_training.cli "$@"; }
flags=(--config "${RECIPE:-training/configs/gpu.yaml}"
    --data.video_folders "$data/videos" --data.still_folders "$data/stills")
if [[ $device == cpu ]]; then
    # A try-out: what a core does in a minute.
    flags+=(--trainer.accelerator cpu --data.workers 1 --data.batch_size "${BATCH:-2}"
        --data.validation_pairs 4 --model.train_grid 9 --data.crop.fit_crops 2
        --model.trunk_lr 0 --trainer.enable_model_summary false)
else
    cores=$(nproc)
    flags+=(--trainer.accelerator gpu --data.batch_size "${BATCH:-48}"
        --data.workers "$((cores > 16 ? 16 : cores > 2 ? cores - 1 : 1))")
fi
flags+=("$@")

# The schedule of a run that goes on is that with which it began.
if [[ ! -f $out/schedule ]]; then
    echo "== ${STEPS:-50} steps, to see how fast this machine is"
    train bench fit "${flags[@]}" --steps "${STEPS:-50}" --json "$results/fit.json" \
        --trainer.enable_progress_bar false 2>&1 | tee "$results/fit.txt"
    "$python" - "$results/fit.json" "$minutes" >"$out/schedule.unfinished" <<'END'
import json, sys
row = json.load(open(sys.argv[1]))["rows"][0]
seconds = round(float(sys.argv[2]) * 60)
# An epoch a minute, so that held-out curves have a point for each; never longer than the run.
pairs = row["pairs"] * max(1, round(min(60, seconds / 2) / row["seconds"]))
days, rest = divmod(seconds, 86400)
time = f"{days:02d}:{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
print(f"--data.pairs_per_epoch {pairs} --trainer.max_time {time}")
END
    mv "$out/schedule.unfinished" "$out/schedule"
fi
read -ra schedule <"$out/schedule"

echo "== training: ${schedule[*]}"
train fit "${flags[@]}" "${schedule[@]}" --run "$run" --checkpoint_every_minutes 1 \
    --trainer.max_epochs -1 --trainer.enable_progress_bar false 2>&1 | tee -a "$results/fit_log.txt"

echo "== export"
train export "$run/last.ckpt" "$out/weights/dcfst_resnet18.safetensors" \
    --note "scripts/train_gpu.sh, $device, ${schedule[*]}"
cp "$out/weights/dcfst_resnet18.json" "$results/"
tar -C "$run" -czf "$results/curves.tar.gz" csv
if [[ -d $eval_root ]]; then
    echo "== evaluation"
    "$python" -m dcfst_core.cli eval "$eval_root" --quiet --frames "${FRAMES:-60}" \
        --weights "$out/weights/dcfst_resnet18.safetensors" --out "$out/eval" --device "$device" \
        >"$results/eval.txt" 2>&1 || echo "the evaluation failed: see $results/eval.txt" >&2
    tail -n 3 "$results/eval.txt"
fi
rm -f "$results"/weights.tar.gz.*
tar -C "$out/weights" -cz . | split -b 15000000 -d - "$results/weights.tar.gz."
echo "cat weights.tar.gz.* | tar xz" >"$results/JOIN.txt"
echo "all done: $results ($(du -sh "$results" | cut -f1)); to join the weights: $(cat "$results/JOIN.txt")"
