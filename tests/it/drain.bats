#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The drain matrix: whatever goes wrong in whichever hook, no node is drained, no job
# is stranded, nobody is left without a word, and who asked for nothing notices nothing
# (drain.py; the plugin is failing_hooks.c's).  Each fault is met, or it is said why it
# cannot be (drain_cells.py).  In ./check one cell in
# AQ_COUNT_DRAIN_EVERY, another one with another AQ_SEED; AQ_COUNT_DRAIN rounds;
# AQ_DRAIN_CELLS, a pattern for "HOOK FAULT", chooses.
# shellcheck disable=SC2154 # bats sets status and lines

load lib

setup_file() {
  it_up --nodes 3
  # one that builds at once
  install -m 755 "$BATS_TEST_DIRNAME/../clients/faulty" "$IT_DIR/bin/rattler"
  echo none >"$IT_DIR/bin/FAULT"
  echo "client = $IT_DIR/bin/rattler" >>"$IT_DIR/etc/aq.conf"
  sed -i "s,$IT_INSTALL/lib/slurm/,$IT_INSTALL/tests/failing/," "$IT_DIR/etc/plugstack.conf"
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

@test "every hook meets every fault" {
  run python3 "$BATS_TEST_DIRNAME/drain.py" --dir "$IT_DIR" --seed "${AQ_SEED:-1}" \
    --rounds "${AQ_COUNT_DRAIN:-1}" --every "${AQ_COUNT_DRAIN_EVERY:-6}" --cells "${AQ_DRAIN_CELLS-}" 3>&-
  printf '# %s\n' "${lines[@]}" >&3
  [[ $status -eq 0 ]]
}
