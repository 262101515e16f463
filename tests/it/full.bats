#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A cache on a disk that is full: builds collect and go on, or say what to do.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib

readonly WHEEL_MIB=24 # of each environment

setup_file() {
  it_up
  local lib=$IT_DIR/nodes/n1/lib
  mkdir -p "$lib"
  truncate -s 400M "$IT_DIR/disk.img"
  mkfs.ext4 -q -m 0 "$IT_DIR/disk.img"
  mount -o loop,nosuid,nodev "$IT_DIR/disk.img" "$lib"
  chmod 755 "$lib"
  it_wheels
  for i in 1 2 3 4; do
    it_wheel "aq-full-$i" 1.0 --file "aq_full_$i.py=N = $i" --bulk "$WHEEL_MIB"
  done
  it_limits "max_age = 0" "min_free = 0" "grace = 0"
  aq --node n1 base add 3.9 --file "$(it_file base.yaml <<<'{dependencies: [python=3.9, pip]}')" >/dev/null
}
teardown_file() {
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1 || :
  ! mountpoint -q "$IT_DIR/nodes/n1/lib" || umount "$IT_DIR/nodes/n1/lib"
  it_down
}
setup() {
  it_begin
  CACHE=$(it_cache n1)
  rm -f "$CACHE/ballast"
  it_forget_failures n1
  # an empty cache but for its base
  it_limits "max_age = 0" "min_free = 0" "grace = 0" "max_size = 1"
  it_gc n1
  it_limits "max_age = 0" "min_free = 0" "grace = 0"
}
teardown() { it_end; }

asks() { it_file "full-$1.yaml" <<<"{dependencies: [python=3.9, {pip: [aq-full-$1]}]}"; }

build() { basename "$(aq --node n1 build --json "$(asks "$1")" 2>/dev/null | it_number prefix)"; }

# leave MIB: let so much of the disk be free.
leave() {
  local free
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  sync -f "$CACHE"
  free=$(df --output=avail -B1 "$CACHE" | tail -n 1)
  fallocate -l "$((free - ($1 << 20)))" "$CACHE/ballast"
}

is_there() { [[ -d $CACHE/envs/$1 && -d $CACHE/meta/$1 ]] && aq --node n1 list | grep -q "^$1"; }
is_gone() { [[ ! -e $CACHE/envs/$1 && ! -e $CACHE/meta/$1 && ! -e $CACHE/trash/$1 ]]; }

# nothing_is_left: of builds that failed: no half prefix, no environment without
# a row, nothing in trash/ or the caches that no environment has.
nothing_is_left() {
  wait_until "$IT_JOB_SECONDS" it_is_clean n1
  assert_equal "$(ls -A "$CACHE/envs")" "$(aq --node n1 list | tail -n +2 | cut -d' ' -f1 | sort)"
  # but for when it was collected last
  assert_equal "$(find "$CACHE/trash" -mindepth 1 ! -name .ended -printf '%f\n')" .reserve
  assert_equal "$(find "$CACHE/work/wheels/archive-v0" -name bulk -links 1 | wc -l)" 0
}

@test "a build that needs room collects what was used least lately, and goes on" {
  local one two three job
  one=$(build 1)
  job=$(it_submit -w n1 --aq-requirements="$(asks 1)" --wrap "while [ ! -e $IT_SUBMIT/go ]; do sleep 0.1; done"'
    python -c "import aq_full_1, email.mime.text; print(\"kept\", aq_full_1.N)"')
  wait_until "$IT_JOB_SECONDS" it_holds n1 "$one"
  sleep 1.1 # last use is in seconds
  two=$(build 2)
  sleep 1.1
  three=$(build 3)
  leave 5
  run -0 --separate-stderr as_user srun -w n1 --overlap --aq-requirements="$(asks 4)" python -c 'import aq_full_4, sys; print(aq_full_4.N, sys.prefix)'
  assert_contains "$output" "4 $CACHE/envs/"
  assert_contains "$stderr" "is full: collecting"
  assert_contains "$stderr" "collected 1 environments"
  is_gone "$two"
  is_there "$one"
  is_there "$three"
  is_there "$(basename "$output")"
  wait_until "$IT_JOB_SECONDS" it_is_clean n1
  nothing_is_left
  touch "$IT_SUBMIT/go"
  it_wait "$job"
  assert_contains "$(cat "$IT_SUBMIT/${job}"_*.out)" "kept 1"
}

@test "where nothing can go the task says what is full, and nothing is left" {
  local one
  it_limits "max_age = 0" "min_free = 0" "grace = 3600"
  one=$(build 1)
  leave 5
  run -125 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 4)" true
  assert_contains "$stderr" "'$CACHE' is full: "
  assert_contains "$stderr" "MB more are needed"
  assert_contains "$stderr" "make room there"
  is_there "$one"
  it_begin
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  nothing_is_left
  # the next one of an array is told the same at once
  run -125 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 4)" true
  assert_contains "$stderr" "'$CACHE' is full: "
  refute_contains "$stderr" "collecting"
  rm "$CACHE/ballast"
  it_forget_failures n1
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 4)" python -c 'import aq_full_4; print(aq_full_4.N)'
  assert_equal "$output" 4
}

@test "a build collects first when less than min_free is free" {
  local one two
  one=$(build 1)
  sleep 1.1
  two=$(build 2)
  leave 60
  it_limits "max_age = 0" "min_free = 70M" "grace = 0"
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(it_small)" printenv AQ_RESOLUTION
  assert_equal "$output" created
  assert_contains "$stderr" "less than min_free is free: collecting"
  is_gone "$one"
  is_there "$two"
}

@test "a disk that is full to the last byte: hits go on, and it can be collected" {
  local one
  one=$(build 1)
  it_begin
  [[ $(stat -c %b "$CACHE/trash/.reserve") -gt 0 ]]
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  # root and all: not a block is left
  run ! dd if=/dev/zero of="$CACHE/ballast" bs=64k status=none
  run ! dd if=/dev/zero of="$CACHE/ballast" bs=512 oflag=append conv=notrunc status=none
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 1)" printenv AQ_RESOLUTION
  assert_equal "$output" reused
  # the same environment with other variables: what cannot be noted is no failure
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(it_file other.yaml <<<'{dependencies: [python=3.9, {pip: [aq-full-1]}], variables: {A: b}}')" printenv AQ_RESOLUTION
  assert_equal "$output" reused
  it_begin
  it_limits "max_age = 0" "min_free = 0" "grace = 0" "max_size = 1"
  it_gc n1
  is_gone "$one"
  [[ $(stat -c %b "$CACHE/trash/.reserve") -gt 0 ]]
}

@test "a build that would take what min_free keeps is ended, collects, and goes on" {
  local one
  one=$(build 1)
  leave 60
  # there is enough for the wheel, but not beside min_free
  it_limits "max_age = 0" "min_free = 50M" "grace = 0"
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 4)" python -c 'import aq_full_4; print(aq_full_4.N)'
  assert_equal "$output" 4
  assert_contains "$stderr" "collected 1 environments"
  refute_contains "$stderr" "less than min_free is free"
  is_gone "$one"
  # and fails where nothing can go, with what min_free keeps
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  rm "$CACHE/ballast"
  leave 60
  it_limits "max_age = 0" "min_free = 50M" "grace = 3600"
  run -125 --separate-stderr as_user srun -w n1 --aq-requirements="$(asks 3)" true
  assert_contains "$stderr" "of which 'min_free' keeps 52.4 MB"
  assert_contains "$stderr" "make room there"
  it_begin
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  nothing_is_left
}
