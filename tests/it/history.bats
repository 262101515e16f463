#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Random histories on a real cluster: jobs, steps, requeues, kills, collections,
# pins and bases, compared with a model after each operation (history.py).
# AQ_COUNT_IT_HISTORY operations; AQ_SEED.

load lib

setup_file() {
  it_up --nodes 2
  it_wheels
  for i in 0 1 2 3; do it_wheel "aq-hist-$i" 1.0 --file "aq_hist_$i.py=N = $i"; done
  # whatever nobody uses goes
  it_limits "max_age = 0" "min_free = 0" "grace = 0" "max_size = 1"
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

@test "whatever happens, what runs keeps its files, and in the end nothing is left" {
  python3 "$BATS_TEST_DIRNAME/history.py" --dir "$IT_DIR" --seed "${AQ_SEED:-1}" \
    --count "${AQ_COUNT_IT_HISTORY:-200}" 3>&-
}
