#!/usr/bin/env bash
# The long form of the kill test: scripts/kill9.sh [ROUNDS=1000]
# A server is killed with SIGKILL under load, again and again; no acknowledged event may be lost or doubled, and the tree must be
# consistent with every checkpoint handed out before. The test suite runs the same with 20 rounds.
set -euo pipefail
cd "$(dirname "$0")/.."
RECALL_KILL_ROUNDS=${1:-1000} exec cargo test --package recall --package recall-bench --test it -- --nocapture rounds_of_kill
