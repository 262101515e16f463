#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The power goes at any write of the disk that the cache is on (tests/it/power.py).
# In ./check at one write in AQ_COUNT_POWER_CUTS, or AQ_COUNT_POWER_MORE of what has many.

load lib

setup() {
  it_node "$BATS_TEST_DIRNAME/../clients/faulty"
  echo cached >"$IT_DIR/bin/FAULT"
}
teardown() { it_alone_down; }

# cuts FILE-SYSTEM OPERATION [EVERY]
cuts() {
  run unshare --mount python3 "$BATS_TEST_DIRNAME/power.py" "$AQ_CONF" "$1" "$2" \
    "${3:-${AQ_COUNT_POWER_CUTS:-17}}"
  [[ $status -eq 0 ]] || { echo "$output" >&2; return 1; }
  # there were some
  [[ $output =~ :\ [1-9] ]]
}

@test "a build, on ext4" { cuts ext4 build; }
@test "a build, on xfs" { cuts xfs build; }
@test "a build, on btrfs" { cuts btrfs build "${AQ_COUNT_POWER_MORE:-67}"; }
@test "a build that fails and then does not, on ext4" { cuts ext4 failure; }
@test "a hit, on ext4" { cuts ext4 hit; }
@test "a collection, on ext4" { cuts ext4 collect; }
@test "a collection, on xfs" { cuts xfs collect; }
@test "a collection, on btrfs" { cuts btrfs collect; }
@test "a base, on ext4" { cuts ext4 base "${AQ_COUNT_POWER_MORE:-67}"; }
@test "byte-code is linked, on ext4" { cuts ext4 bytecode "${AQ_COUNT_POWER_MORE:-67}"; }
@test "byte-code has its name once it is on disk, whoever else flushes, on ext4" { cuts ext4 published; }
@test "byte-code has its name once it is on disk, whoever else flushes, on xfs" { cuts xfs published; }
@test "a workflow moves on, on ext4" { cuts ext4 workflow; }
@test "a pin, on ext4" { cuts ext4 pin; }
