#!/usr/bin/env bash
# The long form of the flip test: scripts/flip.sh
# Each byte of a small, cleanly stopped trail is flipped in turn: verification must report it, or a full export must be the same
# byte for byte. The test suite runs the same on a sample of the bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
RECALL_FLIP_EVERY_BYTE=1 exec cargo test --package recall --package recall-bench --test it -- --nocapture a_flip_of_a_byte
