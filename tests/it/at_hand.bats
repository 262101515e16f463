#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where nothing has to be waited for, as on a node whose run_dir is in memory, slurmstepd
# looks up by itself; whatever would wait is a worker's, as everywhere.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

load lib
load hanging

readonly DISK_SIZE=8G # sparse; a collection is due while less than min_free, 1 GiB, is free

setup_file() {
  # the other files' have a disk of their own, and no node needs that
  MEMORY=/dev/shm/aq-$(it_word)
  export MEMORY AQ_IT_IN=/var/tmp
  mkdir -m 755 "$MEMORY"
  hang_up --set "run_dir=$MEMORY/%n/run" --slurm-conf SlurmdDebug=debug
  # what moves directories about finds them where they are
  export RUN=$MEMORY/n1/run
}
teardown_file() {
  it_down
  rm -rf "$MEMORY"
}

# how: of the last stage, "at hand" or "with a worker".
how() {
  local last
  last=$(grep "aq: stage of step" "$IT_DIR/log/slurmd-n1.log" | tail -n 1)
  case $last in
    *"us, with a worker") echo "with a worker" ;;
    *us) echo "at hand" ;;
  esac
}
is_reused_at_hand() { runs reused && [[ $(how) == "at hand" ]]; }

# a file system of the cache's own, that is local, on a disk that can hang.
put_on_a_disk() {
  truncate -s "$DISK_SIZE" "$IT_DIR/image"
  mkfs.ext4 -q "$IT_DIR/image"
  mkdir "$IT_DIR/disk"
  "$IT_INSTALL/tests/disk" "$IT_DIR/image" "$IT_DIR/disk.log" "$IT_DIR/disk" 3>&- &
  DISK=$!
  wait_until 10 test -e "$IT_DIR/disk/image"
  DEVICE=$(losetup --find --show "$IT_DIR/disk/image")
  mv "$LIB" "$LIB.before"
  mkdir "$LIB"
  mount -o nosuid,nodev,noatime "$DEVICE" "$LIB"
  cp -a "$LIB.before/." "$LIB"
}
take_the_disk_away() {
  wait_until 30 umount "$LIB"
  losetup --detach "$DEVICE" || :
  wait_until 30 umount "$IT_DIR/disk"
  wait "$DISK" || :
  rm -rf "$IT_DIR/disk" "$IT_DIR/image" "$IT_DIR/disk.log" "$LIB"
  mv "$LIB.before" "$LIB"
}

@test "what was answered before is at hand, until somebody commits" {
  wait_until "$IT_JOB_SECONDS" is_reused_at_hand
  is_reused_at_hand
  # another environment
  run -0 --separate-stderr as_user srun --aq-requirements="$(asks 2)" sh -c 'echo "$AQ_RESOLUTION"'
  assert_equal "$output" created
  it_begin
  wait_while "$IT_JOB_SECONDS" it_has_workers n1
  runs reused
  assert_equal "$(how)" "with a worker"
  wait_until "$IT_JOB_SECONDS" is_reused_at_hand
  it_begin
  assert_equal "$(find "$MEMORY/n1/run/leases" "$MEMORY/n1/run/jobs" -type f)" ""
}

@test "a collector that hangs, and has the references, is waited for by a worker" {
  wait_until "$IT_JOB_SECONDS" is_reused_at_hand
  it_begin
  holds "$MEMORY/n1/run/locks/refs" "fcntl.flock(f, fcntl.LOCK_EX)"
  others_notice_nothing
  runs reused # by a builder, which has the time
  assert_equal "$(how)" "with a worker"
  all_is_well
}

@test "a disk of the cache's that hangs: who needs it waits with a worker, and who does not is answered" {
  put_on_a_disk
  wait_until "$IT_JOB_SECONDS" is_reused_at_hand
  it_begin
  who_hangs "$DISK"
  # its program is in memory, too
  is_reused_at_hand
  others_notice_nothing
  waits_and_can_be_cancelled "$(asks 3)"
  assert_equal "$(how)" "with a worker"
  all_is_well
  take_the_disk_away
}

@test "a cache on a file system of others is never at hand, and may hang" {
  put "$LIB" twice
  runs reused
  runs reused
  assert_equal "$(how)" "with a worker"
  it_begin
  who_hangs "$(server "$LIB.middle")"
  waits_and_can_be_cancelled "$FILE"
  all_is_well
}
