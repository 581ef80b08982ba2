#!/usr/bin/env bash
# Run every check of the GPU path in nine minutes at most: `tests/gpu/run.sh`. DEVICE=cpu SIZE=tiny tries it without a GPU.
# What the machine lacks comes from .gpu-kit, where it lies (`make gpu-kit`); figures.json goes to $OUT, or to gpu-figures/.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
python=${PYTHON:-python3}
path="$root/workflow/scripts:$root/workflow/trainers:$root/tests/unit:$root/tests/gpu"
if ! "$python" -c 'import nnunetv2, nibabel, isal' 2>/dev/null; then
    kit=${KIT:-$root/.gpu-kit}
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$python" -W ignore -m tarfile -e "$kit/site.tar.xz" "$site"
    path="$path:$site"
    PATH="$site/bin:$PATH"
fi
export PATH PYTHONPATH="$path${PYTHONPATH:+:$PYTHONPATH}" nnUNet_extTrainer="$root/workflow/trainers"
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
"$python" tests/gpu/checks.py --device "${DEVICE:-cuda}" --size "${SIZE:-published}" \
    --out "${OUT:-$root/gpu-figures}" "$@"
