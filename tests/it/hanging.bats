#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What hangs: disks, who holds a lock, a builder, a client that never stops talking.
# Root hooks end by their deadlines, jobs without the option notice nothing, those with
# it go on or can be cancelled, and once it hangs no more all is well.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

load lib
load hanging

setup_file() { hang_up; }

@test "the disk of the cache hangs so that nobody can be killed who waits for it" {
  put "$LIB" twice
  runs reused
  it_begin
  who_hangs "$(server "$LIB.middle")"
  waits_and_can_be_cancelled "$FILE"
  all_is_well
}

@test "what holds the references hangs, before and under a job" {
  local job
  put "$RUN" twice
  runs reused
  job=$(it_submit -J waits --aq-requirements="$FILE" --wrap "touch $IT_SUBMIT/up; until [ -e $IT_SUBMIT/go ]; do sleep 0.1; done; echo ran")
  rm -f "$IT_SUBMIT/go"
  wait_until "$HOOKS_SECONDS" test -e "$IT_SUBMIT/up"
  rm "$IT_SUBMIT/up"
  who_hangs "$(server "$RUN.middle")"
  others_notice_nothing
  # it has its lease there
  touch "$IT_SUBMIT/go"
  it_wait "$job" "$HOOKS_SECONDS"
  it_job_is COMPLETED "$job"
  assert_contains "$(cat "$IT_SUBMIT/${job}"_*.out)" ran
  waits_and_can_be_cancelled "$FILE"
  all_is_well
}

@test "somebody has the databases to themselves, and hangs" {
  holds "$LIB/cache.db" "db.execute('BEGIN EXCLUSIVE')"
  holds "$RUN/refs.db" "db.execute('BEGIN EXCLUSIVE')"
  others_notice_nothing
  # what was answered before needs neither; the epilog's notes come later
  runs reused
  wait_until "$HOOKS_SECONDS" cluster_is_idle "$IT_DIR"
  FILE=$(asks 2)
  waits_and_can_be_cancelled "$FILE"
  go_on
  runs created || { cat "$IT_DIR/err" >&2; return 1; }
  all_is_well
}

@test "somebody has all locks, and hangs" {
  local lock
  for lock in "$RUN"/locks/* "$LIB/cache.db.lock" "$RUN/refs.db.lock"; do
    [[ ! -f $lock ]] || holds "$lock" "fcntl.flock(f, fcntl.LOCK_EX)"
  done
  others_notice_nothing
  FILE=$(asks 3)
  waits_and_can_be_cancelled "$FILE"
  go_on
  runs created || { cat "$IT_DIR/err" >&2; return 1; }
  all_is_well
}

@test "a job's lease is somebody else's, who hangs" {
  local job
  job=$(($(scontrol show config | sed -n 's/^NEXT_JOB_ID *= //p')))
  holds "$RUN/leases/$job.0.4294967295.n1" "import struct; fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))"
  run --separate-stderr as_user timeout "$HOOKS_SECONDS" srun --aq-requirements="$FILE" sh -c 'echo "$AQ_RESOLUTION"'
  # it runs without the lease, or is told
  [[ $status -eq 0 && $output == reused ]] || [[ $status -eq 125 && $stderr == *aq:* ]]
  others_notice_nothing
  all_is_well
}

@test "a builder hangs" {
  local job
  FILE=$(asks 4)
  it_gate before create
  job=$(it_submit -J waits --aq-requirements="$FILE" --wrap "echo ran")
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  mapfile -t builders < <(it_builders n1)
  who_hangs "${builders[@]}"
  # another one of the key waits for its turn
  waits_and_can_be_cancelled "$FILE"
  scancel "$job"
  wait_until "$HOOKS_SECONDS" it_job_is_over "$job"
  it_open
  go_on
  runs created || runs reused || { cat "$IT_DIR/err" >&2; return 1; }
  all_is_well
}

@test "a client writes gigabytes, to either" {
  local how
  for how in flood flood-errors; do
    FILE=$(asks "5${#how}")
    echo "$how ${AQ_COUNT_FLOOD:-200000000}" >"$IT_DIR/bin/FAULT"
    run -125 --separate-stderr as_user srun --aq-requirements="$FILE" true
    assert_contains "$stderr" "aq: n1: "
    ((${#stderr} < 20000))
    [[ -z $(find "$LIB/logs" -size +17M) ]]
    others_notice_nothing
    echo none >"$IT_DIR/bin/FAULT"
    it_forget_failures n1
    runs created || { cat "$IT_DIR/err" >&2; return 1; }
  done
  all_is_well
}
