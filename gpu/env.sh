# Source this before anything that uses the GPU:  . gpu/env.sh
# Sets CUDA_HOME, TORCH_CUDA_ARCH_LIST, MAX_JOBS and TORCH_EXTENSIONS_DIR where they can be found and are not set.
# Untested on hardware.
: "${PYTHON:=python}"

if [ -z "${CUDA_HOME:-}" ]; then
    # nvcc on the PATH may be a wrapper script; what it names as its folder is right.
    CUDA_HOME=$("$PYTHON" -c 'from hgs_toolkit.rendering.gsplat_build import find_cuda_home as f; print(f() or "")')
    [ -n "$CUDA_HOME" ] && export CUDA_HOME || unset CUDA_HOME
fi
if [ -z "${TORCH_CUDA_ARCH_LIST:-}" ]; then
    TORCH_CUDA_ARCH_LIST=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u | paste -sd';')
    [ -n "$TORCH_CUDA_ARCH_LIST" ] && export TORCH_CUDA_ARCH_LIST || unset TORCH_CUDA_ARCH_LIST
fi
cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 4)
export MAX_JOBS="${MAX_JOBS:-$((cores < 16 ? cores : 16))}"
export TORCH_EXTENSIONS_DIR="${TORCH_EXTENSIONS_DIR:-${PWD}/build/torch_extensions}"
