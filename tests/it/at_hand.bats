#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where nothing has to be waited for, as on a node whose run_dir is in memory, slurmstepd
# looks up by itself; whatever would wait is a worker's, as everywhere.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

load lib
load hanging

readonly DISK_SIZE=8G # sparse; a collection is due while less than min_free, 1 GiB, is free

# all of it in memory: /var/tmp need not be of the file system of /
setup_file() {
  MEMORY=$(mktemp -d /dev/shm/aq-it.XXXXXX)
  chmod 755 "$MEMORY"
  export MEMORY AQ_IT_IN=$MEMORY
  hang_up --slurm-conf SlurmdDebug=debug
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

# a file system of the cache's own, that is local and new, on a disk that can hang.
put_on_a_disk() {
  truncate -s "$DISK_SIZE" "$IT_DIR/image"
  mkfs.ext4 -q "$IT_DIR/image"
  mkdir "$IT_DIR/disk"
  "$IT_INSTALL/tests/disk" "$IT_DIR/image" "$IT_DIR/disk.log" "$IT_DIR/disk" 3>&- &
  DISK=$!
  wait_until 10 test -e "$IT_DIR/disk/image"
  mv "$LIB" "$LIB.before"
  mkdir "$LIB"
  mount -o loop,nosuid,nodev,noatime "$IT_DIR/disk/image" "$LIB"
}
teardown() {
  go_on
  [[ ! -e $IT_DIR/disk ]] || {
    wait_until 30 umount "$LIB"
    wait_until 30 umount "$IT_DIR/disk"
    rm -rf "$IT_DIR"/{disk,disk.log,image} "$LIB"
    mv "$LIB.before" "$LIB"
  }
  hang_end
}

@test "what was answered before is at hand, until somebody commits" {
  wait_until "$IT_JOB_SECONDS" is_reused_at_hand
  is_reused_at_hand
  # another environment
  run -0 --separate-stderr as_user srun --aq-requirements="$(asks 2)" sh -c 'echo "$AQ_RESOLUTION"'
  assert_equal "$output" created
  it_begin
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  runs reused
  assert_equal "$(how)" "with a worker"
  wait_until "$IT_JOB_SECONDS" is_reused_at_hand
  it_begin
  assert_equal "$(find "$RUN/leases" "$RUN/jobs" -type f)" ""
}

@test "a collector that hangs, and has the references, is waited for by a worker" {
  wait_until "$IT_JOB_SECONDS" is_reused_at_hand
  it_begin
  holds "$RUN/locks/refs" "fcntl.flock(f, fcntl.LOCK_EX)"
  others_notice_nothing
  runs reused # by a builder, which has the time
  assert_equal "$(how)" "with a worker"
  all_is_well
}

@test "a disk of the cache's that hangs: who needs it waits with a worker, and who does not is answered" {
  put_on_a_disk
  runs created
  it_begin
  wait_until "$IT_JOB_SECONDS" is_reused_at_hand
  it_begin
  who_hangs "$DISK"
  # its program is in memory, too
  is_reused_at_hand
  others_notice_nothing
  waits_and_can_be_cancelled "$(asks 3)"
  assert_equal "$(how)" "with a worker"
  all_is_well
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
