#!/usr/bin/env bash
# Compares this library with PyTorch on this machine and writes docs/performance.md.
#   benches/pytorch/run.sh [--quick] [--threads N] [--json FILE] [--only NAME,...] [--device cuda:N] | --scaling
# Python with requirements.txt installed is taken from $PYTHON, the features of the build, such as those of
# another device, from $FEATURES.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cd "$here/../.."
cargo build --release --locked --bench workload ${FEATURES:+--features "$FEATURES"} >&2
exec "${PYTHON:-python3}" "$here/compare.py" "$@"
