# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Waiting for conditions, never for time to pass.  Sourced.

# wait_until SECONDS COMMAND... : run COMMAND (quietly) until it succeeds;
# fails, naming it, once SECONDS have passed.
wait_until() {
  local seconds=$1 deadline=$((SECONDS + $1 + 1))
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      echo "still not so after $seconds s: $*" >&2
      return 1
    fi
    sleep 0.05
  done
}

# wait_while SECONDS COMMAND... : the same until COMMAND fails.
wait_while() {
  local seconds=$1
  shift
  wait_until "$seconds" not "$@"
}

not() { ! "$@"; }
