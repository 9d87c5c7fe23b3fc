#!/usr/bin/env bash
# Compares this library with PyTorch on this machine and writes docs/performance.md.
#   benches/pytorch/run.sh [--quick] [--threads N] [--json FILE] [--only NAME,...] [--features NAME --device cuda:N] | --scaling
# Python with requirements.txt installed is taken from $PYTHON.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/compare.py" "$@"
