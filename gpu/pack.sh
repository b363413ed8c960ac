#!/usr/bin/env bash
# Packs what a machine with a GPU and torch, but without a network, needs:  gpu/pack.sh [FOLDER]
# There: pip install --no-index --no-deps FOLDER/*.whl. A compiled library is added if PREBUILT names one (gsplat_cuda.so).
# Untested on hardware.
set -euo pipefail
out=${1:-build/gpu_pack}
PYTHON=${PYTHON:-python}
LIMIT_MB=30
rm -rf "$out" && mkdir -p "$out"
"$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir "$out" .
if [ "${DRY:-0}" = 1 ]; then
    echo "dry mode: the other wheels are not fetched"
else
    "$PYTHON" -m pip download --quiet --no-deps --dest "$out" \
        'gsplat>=1.5.3,<1.6' plyfile trimesh zstandard fast-simplification jaxtyping ninja safetensors typer
fi
if [ -n "${PREBUILT:-}" ]; then cp "$PREBUILT" "$out/"; fi
size=$(du -sm "$out" | cut -f1)
[ "$size" -le "$LIMIT_MB" ] || { echo "$out takes $size MB; expected at most $LIMIT_MB"; exit 1; }
echo "$out: $(ls "$out" | wc -l) files, $size MB"
