#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What hangs: disks, who holds a lock, a builder, a client that never stops talking.
# Root hooks end by their deadlines, jobs without the option notice nothing, those with
# it go on or can be cancelled, and once it hangs no more all is well.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

load lib

# Jobs whose hooks all meet their deadlines of 2 s, on a loaded machine; less than
# KillWait (30 s) and UnkillableStepTimeout (60 s), with which Slurm would step in.
readonly HOOKS_SECONDS=25

setup_file() {
  it_up --nodes 1
  # one that builds at once
  install -m 755 "$BATS_TEST_DIRNAME/../clients/faulty" "$IT_DIR/bin/rattler"
  echo none >"$IT_DIR/bin/FAULT"
  echo "client = $(it_client "$IT_DIR/bin/rattler")" >>"$IT_DIR/etc/aq.conf"
  FILE=$(asks 1)
  export FILE LIB=$IT_DIR/nodes/n1/lib RUN=$IT_DIR/nodes/n1/run
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_forget
  echo none >"$IT_DIR/bin/FAULT"
  runs created
  runs reused # its memo, its databases
  it_begin
}
teardown() {
  it_open
  go_on
  scancel --quiet --user="$AQ_TEST_USER"
  wait_until "$IT_JOB_SECONDS" cluster_is_idle "$IT_DIR" || :
  wait_while 30 it_has_workers n1 || :
  take_away "$LIB"
  take_away "$RUN"
  it_end
}

asks() { it_file "hang-$1.yaml" <<<"{channels: [conda-forge], dependencies: [x=$1]}"; }

# runs RESOLUTION: a job with the option does, in that environment.
runs() { [[ $(as_user timeout "$HOOKS_SECONDS" srun --aq-requirements="$FILE" sh -c 'echo "$AQ_RESOLUTION $(cat "$AQ_ENV_PREFIX/bin/tool")"' 2>"$IT_DIR/err") == "$1 content" ]]; }

# who_hangs PID...: those are stopped, until go_on.
who_hangs() {
  kill -STOP "$@"
  printf '%s\n' "$@" >>"$IT_DIR/stopped"
}
go_on() {
  local pid
  [[ ! -e $IT_DIR/stopped ]] || while read -r pid; do kill -CONT "$pid" 2>/dev/null || :; done <"$IT_DIR/stopped"
  [[ ! -e $IT_DIR/held ]] || while read -r pid; do kill -KILL "$pid" 2>/dev/null || :; done <"$IT_DIR/held"
  rm -f "$IT_DIR/stopped" "$IT_DIR/held"
}

# put DIR: it is on a file system of its own that can hang.  twice: on one that hangs in
# the middle of a call, so that who makes it cannot even be killed.
put() {
  local from=$1.real
  mv "$1" "$from"
  mkdir "$1"
  if [[ ${2-} == twice ]]; then
    mkdir "$1.middle"
    bindfs -o nosuid,nodev "$from" "$1.middle" 3>&-
    from=$1.middle
  fi
  bindfs -o nosuid,nodev "$from" "$1" 3>&-
}
# server DIR: the pid of what serves it.
server() { pgrep -f "^bindfs .* $1\$"; }
take_away() {
  local dir
  [[ -d $1.real ]] || return 0
  for dir in "$1" "$1.middle"; do
    ! mountpoint -q "$dir" || umount "$dir" || umount -l "$dir"
    wait_while 10 server "$dir"
    [[ ! -d $dir ]] || rmdir "$dir"
  done
  mv "$1.real" "$1"
}

# others_notice_nothing: a job without the option, from its prolog to its epilog.
others_notice_nothing() {
  local since=$SECONDS
  run --separate-stderr as_user timeout "$HOOKS_SECONDS" srun sh -c 'echo out; exit 3'
  assert_equal "$status $output" "3 out"
  refute_contains "$stderr" aq:
  wait_until "$HOOKS_SECONDS" is_over_but waits
  ((SECONDS - since < HOOKS_SECONDS))
}
# is_over_but NAME: no other job is there, running or ending.
is_over_but() { ! squeue -h -o %j | grep -qvx "$1"; }

# waits_and_can_be_cancelled FILE: a job with the option.
waits_and_can_be_cancelled() {
  local job
  job=$(it_submit -J waits --aq-requirements="$1" --wrap "echo ran")
  wait_until "$HOOKS_SECONDS" it_job_is RUNNING "$job"
  wait_until "$HOOKS_SECONDS" is_waiting "$job"
  others_notice_nothing
  it_job_is RUNNING "$job"
  scancel "$job"
  wait_until "$HOOKS_SECONDS" it_job_is_over "$job"
  refute_contains "$(cat "$IT_SUBMIT/${job}"_*.out)" ran
}
# is_waiting JOB: its task has a watcher, which is how it can be cancelled.
is_waiting() {
  local daemon task
  daemon=$(it_stepds "$1\.batch" | head -n 1)
  for task in $(pgrep -P "$daemon"); do ! pgrep -P "$task" -x aq-watch || return 0; done
  return 1
}

# all_is_well: as if nothing had hung.
all_is_well() {
  go_on
  wait_until "$IT_JOB_SECONDS" cluster_is_idle "$IT_DIR"
  wait_while "$IT_JOB_SECONDS" it_has_workers n1
  it_nodes_are_fine
  runs reused || { cat "$IT_DIR/err" >&2; return 1; }
  it_begin
  aq --node n1 verify
  # nothing of a hook is left, hanging or not
  wait_while 10 it_stepds "[0-9].*"
}

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

# holds PATH WORDS...: a process that has done that in Python with 'f', the open file,
# and 'db', the database, and is stopped.
holds() {
  python3 -c "import fcntl, signal, sqlite3, sys, os
path, ready = sys.argv[1:3]
db = sqlite3.connect(path, isolation_level=None) if path.endswith('.db') else None
f = open(path, 'rb+' if os.path.exists(path) else 'wb+') if not db else None
$2
open(ready, 'w').close()
signal.pause()" "$1" "$IT_DIR/ready" 3>&- &
  echo "$!" >>"$IT_DIR/held"
  wait_until 10 test -e "$IT_DIR/ready"
  rm "$IT_DIR/ready"
  who_hangs "$!"
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
