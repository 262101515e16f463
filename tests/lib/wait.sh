# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Waiting for conditions, never for time to pass.  Sourced.

# How long it waits before it looks again, at first and then: looking costs more than a
# process, and others need the processors.
readonly WAIT_STEPS=(0.02 0.04 0.08 0.16)

# wait_until SECONDS COMMAND... : run COMMAND (quietly) until it succeeds;
# fails, naming it, once SECONDS have passed.
wait_until() {
  local seconds=$1 deadline=$((SECONDS + $1 + 1)) looked=0
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      echo "still not so after $seconds s: $*" >&2
      return 1
    fi
    sleep "${WAIT_STEPS[looked < ${#WAIT_STEPS[@]} ? looked : -1]}"
    looked=$((looked + 1))
  done
}

# wait_while SECONDS COMMAND... : the same until COMMAND fails.
wait_while() {
  local seconds=$1
  shift
  wait_until "$seconds" not "$@"
}

not() { ! "$@"; }
