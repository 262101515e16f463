#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The power goes at any write of the disk that the cache is on (tests/it/power.py).
# In ./check at one write in AQ_COUNT_POWER_CUTS.

load lib

setup() {
  it_node "$BATS_TEST_DIRNAME/../clients/faulty"
  echo cached >"$IT_DIR/bin/FAULT"
}
teardown() { [[ -z ${IT_DIR-} || -n ${AQ_IT_KEEP-} ]] || rm -rf "$IT_DIR"; }

# cuts FILE-SYSTEM OPERATION
cuts() {
  run unshare --mount python3 "$BATS_TEST_DIRNAME/power.py" "$AQ_CONF" "$1" "$2" "${AQ_COUNT_POWER_CUTS:-17}"
  [[ $status -eq 0 ]] || { echo "$output" >&2; return 1; }
  # there were some
  [[ $output =~ :\ [1-9] ]]
}

@test "a build, on ext4" { cuts ext4 build; }
@test "a build, on xfs" { cuts xfs build; }
@test "a build that fails and then does not, on ext4" { cuts ext4 failure; }
@test "a hit, on ext4" { cuts ext4 hit; }
@test "a collection, on ext4" { cuts ext4 collect; }
@test "a collection, on xfs" { cuts xfs collect; }
@test "a workflow moves on, on ext4" { cuts ext4 workflow; }
@test "a pin, on ext4" { cuts ext4 pin; }
