#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every call of the C library that aq-builder, what it starts and aq make is a point
# where they fail, or are killed (tests/it/faults.py): each run ends with a reason,
# and what it leaves heals with the next one.  In ./check one call in
# AQ_COUNT_FAULT_CALLS is, of allocations one in AQ_COUNT_FAULT_MEMORY.
# The client is one of tests: a real one would make each of thousands of builds slow.

load lib

setup_file() {
  it_node "$BATS_TEST_DIRNAME/../clients/faulty"
  echo none >"$IT_DIR/bin/FAULT"
  # all that was built goes
  printf '%s\n' "max_size = 1" "grace = 0" >>"$AQ_CONF"
}
teardown_file() { it_alone_down; }
setup() {
  it_alone_idle
  rm -rf "${IT_DIR:?}/lib" "$IT_DIR/run" "$IT_DIR/run-public"
}

# program NAME LINE...: a script that faults.py runs, with its number as $1
program() {
  {
    printf '%s\n' "#!/bin/bash" ". $AQ_LIB/uncaged.sh" "${@:2}"
  } >"$IT_DIR/$1"
  chmod 755 "$IT_DIR/$1"
}

# build: a new environment; collect: and away with it
build_program() {
  program build "echo \"{channels: [conda-forge], dependencies: [x=\$1]}\" >$IT_DIR/req.yaml" \
    "failing $IT_INSTALL aq build $IT_DIR/req.yaml"
}
collect_program() {
  program collect "echo \"{channels: [conda-forge], dependencies: [x=\$1]}\" >$IT_DIR/req.yaml" \
    "aq build $IT_DIR/req.yaml >/dev/null 2>&1 || exit" "exec $IT_INSTALL/tests/aq-failing gc"
}

# verify: what was pinned is whole, and whoever finds otherwise says so by exit code 200
verify_program() {
  program verify "out=\$($IT_INSTALL/tests/aq-failing verify --contents --repair --json) || code=\$?" \
    "[[ \$out != *'\"finding\":'* ]] || { echo \"\$out\" >&2; exit 200; }" "exit \${code:-0}"
}
# inodes: of all that is to stay
inodes() { find "$IT_DIR/lib/envs" "$IT_DIR/lib/meta" -printf '%i %p\n' | sort; }

# faults PROGRAM KIND [later]
faults() {
  local every=${AQ_COUNT_FAULT_CALLS:-31}
  [[ $2 != memory ]] || every=${AQ_COUNT_FAULT_MEMORY:-499}
  run python3 "$BATS_TEST_DIRNAME/faults.py" "$AQ_CONF" "$IT_DIR/$1" "$2" "$every" "${@:3}"
  [[ $status -eq 0 ]] || { echo "$output" >&2; return 1; }
  echo "# $1 x $output" >&3
  # it met some
  [[ $output =~ :\ [1-9] ]]
}

@test "a builder is killed at any call that changes the disk" { build_program && faults build kill; }
@test "any of them fails" { build_program && faults build disk; }
@test "the disk is full from any of them on" { build_program && faults build disk later; }
@test "any allocation fails" { build_program && faults build memory; }
@test "descriptors run out" { build_program && faults build open; }
@test "a read fails" { build_program && faults build read; }
@test "a lock cannot be had" { build_program && faults build lock; }
@test "a process cannot be made" { build_program && faults build fork; }
@test "what makes the cage, or gives rights up, is refused: nothing runs as root" { build_program && faults build rights; }
@test "a signal comes while it waits: nothing fails" { build_program && faults build signal; }
@test "a collector is killed at any call that changes the disk" { collect_program && faults collect kill; }
@test "a collector's calls fail" {
  collect_program
  for kind in disk open read lock memory signal; do faults collect "$kind"; done
}
@test "what cannot be read is not damaged: nothing is found, and nothing repaired" {
  local python kind before
  python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  echo cached >"$IT_DIR/bin/FAULT"
  echo "{channels: [conda-forge], dependencies: [python=$python]}" >"$IT_DIR/req.yaml"
  aq base add "$python" --file "$IT_DIR/req.yaml"
  echo "{channels: [conda-forge], dependencies: [x=1, python=$python]}" >"$IT_DIR/req.yaml"
  aq pin "$(aq build --json "$IT_DIR/req.yaml" | jq -r '.prefix | split("/")[-1]')"
  it_alone_idle
  verify_program
  before=$(inodes)
  for kind in open read look lock memory; do faults verify "$kind"; done
  [[ $(inodes) == "$before" ]]
  echo none >"$IT_DIR/bin/FAULT"
}
