#!/usr/bin/env bash
# The long form of the flip test: scripts/flip.sh [STRIDE=1]
# Each byte of a small, cleanly stopped trail is flipped in turn: verification must report it, or a full export must be the same
# byte for byte. The test suite runs the same on a sample of the bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
RECALL_FLIP_STRIDE=${1:-1} exec cargo test --package recall --package recall-bench --test it -- --nocapture each_byte_that_is_flipped
