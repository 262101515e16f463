# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Steps that say what they are, how long they took, and what to do when one
# fails.  Sourced.

STEP_COUNT=0
STEP_TOTAL=${STEP_TOTAL:-0}

# now_ms: a clock, in milliseconds.
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# seconds_since MS: what has passed, as "12.3".
seconds_since() {
  local ms=$(($(now_ms) - $1))
  printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# step TITLE REMEDY COMMAND...: run it in this shell, its output indented by
# itself; where it fails say REMEDY and return its status.  As in any function
# whose status is looked at, errexit is off in COMMAND: it says "|| return".
step() {
  local title=$1 remedy=$2 started status=0
  shift 2
  STEP_COUNT=$((STEP_COUNT + 1))
  started=$(now_ms)
  printf '[%d/%d] %s\n' "$STEP_COUNT" "$STEP_TOTAL" "$title" >&2
  "$@" || status=$?
  if ((status)); then
    printf '      failed (exit %d) after %s s\n      what to do: %s\n' \
      "$status" "$(seconds_since "$started")" "$remedy" >&2
    return "$status"
  fi
  printf '      done in %s s\n' "$(seconds_since "$started")" >&2
}
