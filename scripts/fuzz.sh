#!/usr/bin/env bash
# Fuzzes every parser for a while: scripts/fuzz.sh [SECONDS_EACH=60] [TARGET...]
# Needs a nightly toolchain and cargo-fuzz (cargo install cargo-fuzz). A crash is kept under fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  for file in fuzz/fuzz_targets/*.rs; do
    targets+=("$(basename "$file" .rs)")
  done
fi
for target in "${targets[@]}"; do
  echo "== $target, $seconds s"
  cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -print_final_stats=1
done
