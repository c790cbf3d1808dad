#!/usr/bin/env bash
# Builds the fuzz targets with the stable compiler and runs each for a while. What was found goes on
# where it stopped: the corpus is kept outside the clone.
#
#   FUZZ_SECONDS   time per target [60]
#   FUZZ_TARGETS   which [all]
#   FUZZ_DIR       where corpus, findings and build are kept [~/.cache/parallax/fuzz]
#
# Says for each target how much processor time it has had in all runs: on a busy machine, a minute of
# the clock is less.
set -eu
cd "$(dirname "$0")"

kept=${FUZZ_DIR:-$HOME/.cache/parallax/fuzz}
targets=${FUZZ_TARGETS:-events json reply challenge sequence monitors addresses}
export CARGO_TARGET_DIR="$kept/target"
triple=$(rustc --print host-tuple)

"${CARGO:-cargo}" build --locked --release --bins

failed=
TIMEFORMAT='%0U'
for target in $targets; do
  corpus=$kept/corpus/$target
  findings=$kept/findings/$target
  log=$kept/$target.log
  spent=$kept/seconds/$target
  mkdir -p "$corpus" "$findings" "$kept/seconds"
  said=
  { time "$CARGO_TARGET_DIR/$triple/release/$target" \
    -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=1024 -max_len=4096 \
    -print_final_stats=1 -artifact_prefix="$findings/" "$corpus" "seeds/$target" >"$log" 2>&1; } 2>"$spent.now" || {
    said=", FAILED: see $log"
    failed="$failed $target"
  }
  seconds=$(($(cat "$spent" 2>/dev/null || echo 0) + $(tail -1 "$spent.now")))
  echo "$seconds" >"$spent"
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  reached=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  inputs=$(find "$corpus" -type f | wc -l)
  echo "$target: ${runs:-0} runs, ${reached:-0} edges, $inputs inputs kept, $((seconds / 60)) min of processor time in all$said"
done

if [ -n "$failed" ]; then
  echo "each input that fails lies under $kept/findings; make it a test" >&2
  exit 1
fi
