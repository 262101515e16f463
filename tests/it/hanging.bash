# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A node some part of which hangs: what must go on, and what comes after.  A file that
# loads it has "hang_up OPTION..." (it_up's) in its setup_file.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

# Jobs whose hooks all meet their deadlines of 2 s, on a loaded machine; less than
# KillWait (30 s) and UnkillableStepTimeout (60 s), with which Slurm would step in.
readonly HOOKS_SECONDS=25

hang_up() {
  it_up --nodes 1 "$@"
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
teardown() { hang_end; }
hang_end() {
  it_open
  go_on
  scancel --quiet --user="$AQ_TEST_USER"
  wait_until "$IT_JOB_SECONDS" cluster_is_idle "$IT_DIR" || :
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1 || :
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
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  it_nodes_are_fine
  runs reused || { cat "$IT_DIR/err" >&2; return 1; }
  it_begin
  aq --node n1 verify
  # nothing of a hook is left, hanging or not
  wait_while 10 it_stepds "[0-9].*"
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
