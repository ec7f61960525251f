#!/usr/bin/env bash
# Fuzzes every parser for a while, each from a corpus of the vectors: scripts/fuzz.sh [SECONDS_EACH=60] [TARGET...]
# Needs a nightly toolchain and cargo-fuzz (cargo install cargo-fuzz). A crash is kept under fuzz/artifacts, or fuzz/store/artifacts.
# The targets of fuzz/store build Parquet under the sanitizer first; they run only when they are named.
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

vectors=crates/recall-log/vectors
# Each line of a file becomes a seed, with \n and \t in it expanded.
seed() {
  local into=$1 number=0 line
  mkdir -p "$into"
  while IFS= read -r line; do
    number=$((number + 1))
    printf '%b' "$line" >"$into/$2-$number"
  done
}
# JSON keeps its own escapes.
seed_as_it_is() { sed 's/\\/\\\\/g' | seed "$@"; }
seeds() {
  local corpus=$2
  case $1 in
    event)
      seed_as_it_is "$corpus" good <"$vectors/events-good.ndjson"
      cut -f 2- "$vectors/events-bad.tsv" | seed_as_it_is "$corpus" bad
      ;;
    note) cat "$vectors/notes-bad.txt" "$vectors/vkeys-bad.txt" | seed "$corpus" bad ;;
    checkpoint) seed "$corpus" bad <"$vectors/checkpoints-bad.txt" ;;
    proof) seed "$corpus" bad <"$vectors/proofs-bad.txt" ;;
    tile) seed "$corpus" bad <"$vectors/tile-paths-bad.txt" ;;
    stored | query | statement) seed "$corpus" seed <"fuzz/seeds/$1.txt" ;;
    *) mkdir -p "$corpus" ;;
  esac
}

for target in "${targets[@]}"; do
  folder=fuzz
  [ -f "fuzz/fuzz_targets/$target.rs" ] || folder=fuzz/store
  seeds "$target" "$folder/corpus/$target"
  echo "== $target, $seconds s"
  cargo +nightly fuzz run --fuzz-dir "$folder" "$target" -- \
    -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -dict=fuzz/seeds/words.dict -print_final_stats=1
done
