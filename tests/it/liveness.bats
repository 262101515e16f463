#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# References on a real cluster when things end as they should not: afterwards
# nothing is referenced for ever, and nothing that runs was collected.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables
# shellcheck disable=SC2030,SC2031 # bats runs each test in a subshell

load lib

setup_file() {
  # a node that comes back is used again at once
  it_up --nodes 2
  it_wheels
  it_wheel aq-live 1.0 --file "aq_live.py=N = 1"
  # all that nobody uses goes
  it_limits "max_age = 0" "min_free = 0" "grace = 0" "max_size = 1"
  FILE=$(it_file live.yaml <<<'{dependencies: [python=3.9, {pip: [aq-live]}]}')
  export FILE
  for node in n1 n2; do
    aq --node "$node" base add 3.9 --file "$(it_file base.yaml <<<'{dependencies: [python=3.9, pip]}')" >/dev/null
  done
  cp "$IT_DIR/etc/aq.conf" "$IT_DIR/etc/aq.conf.first"
}
teardown_file() { it_down; }
setup() {
  it_begin
  rm -f "$IT_SUBMIT"/{go,up}.*
}
teardown() {
  it_restore "$IT_DIR/etc/aq.conf.first" "$IT_DIR/etc/aq.conf"
  scancel --quiet --user="$AQ_TEST_USER"
  it_end
}

gc() { it_gc n1 "$@"; }

# WORK N: a program that says when it has begun, and uses its environment once
# it may go on.
work() {
  echo "import sys, time, os; open('$IT_SUBMIT/up.$1', 'w').close()
while not os.path.exists('$IT_SUBMIT/go.$1'): time.sleep(0.05)
import aq_live, email.mime.text, json.tool; print('used', aq_live.N)"
}

# begin N OPTION...: a job that does; sets job, and prefix by what it holds.
begin() {
  local n=$1
  shift
  work "$n" >"$IT_SUBMIT/work.$n.py"
  job=$(it_submit --no-requeue -w n1 --aq-requirements="$FILE" "$@" --wrap "exec python $IT_SUBMIT/work.$n.py")
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/up.$n"
  name=$(it_held n1 "$job")
  [[ -n $name ]]
}

# ended N: the job ends, having used its environment after all.
ended() {
  touch "$IT_SUBMIT/go.$1"
  it_wait "$job"
  assert_contains "$(cat "$IT_SUBMIT/${job}"_*.out)" "used 1"
}

is_there() { [[ -d $(it_cache n1)/envs/$1 ]] && aq --node n1 list | grep -q "^$1"; }
is_gone() { [[ ! -e $(it_cache n1)/envs/$1 && ! -e $(it_cache n1)/meta/$1 ]]; }

# all_ended NODE: no reference, no lease, no job is left.
all_ended() {
  assert_equal "$(it_refs "$1" 1)" 0
  assert_equal "$(find "$IT_DIR/nodes/$1/run/leases" "$IT_DIR/nodes/$1/run/jobs" -name "*.$1")" ""
}

stepd() { it_stepds "$1\.batch"; }

@test "slurmd starts anew under a running job" {
  begin 1
  it_kill_node n1 TERM
  gc
  is_there "$name"
  it_start_node n1
  gc
  is_there "$name"
  ended 1
  it_begin
  all_ended n1
  gc
  is_gone "$name"
}

@test "a job that is requeued has the same id, and its environment" {
  work 1 >"$IT_SUBMIT/work.1.py"
  job=$(it_submit --requeue -w n1 --aq-requirements="$FILE" --wrap "exec python $IT_SUBMIT/work.1.py")
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/up.1"
  rm "$IT_SUBMIT/up.1"
  scontrol requeue "$job"
  # its first run's is nobody's any more
  wait_until "$IT_JOB_SECONDS" it_job_is PENDING "$job"
  wait_until "$IT_JOB_SECONDS" cluster_is_idle "$IT_DIR"
  all_ended n1
  gc
  wait_until "$IT_JOB_SECONDS" runs_again "$job" "$IT_SUBMIT/up.1"
  name=$(it_held n1 "$job")
  gc
  is_there "$name"
  ended 1
  it_begin
  all_ended n1
}

# A job that was requeued has to wait for minutes.  Not for less than seconds:
# what was revoked with its first run is told from what is new by the second.
runs_again() {
  local eligible
  [[ ! -e $2 ]] || return 0
  eligible=$(scontrol -o show job "$1" | grep -o 'EligibleTime=[^ ]*')
  (($(date -d "${eligible#*=}" +%s) < $(date +%s) + 10)) || scontrol update "jobid=$1" starttime=now+3
  return 1
}

@test "slurmstepd is killed: its tasks keep their environment, after the job's end too" {
  begin 1
  task=$(pgrep -f "^python $IT_SUBMIT/work.1.py")
  kill -KILL "$(stepd "$job")"
  gc
  is_there "$name"
  # Slurm knows nothing of the task any more, whose epilog comes
  scancel "$job"
  it_wait "$job"
  it_begin
  kill -0 "$task"
  gc
  gc --reconcile
  is_there "$name"
  touch "$IT_SUBMIT/go.1"
  wait_while 30 kill -0 "$task"
  assert_contains "$(cat "$IT_SUBMIT/${job}"_*.out)" "used 1"
  gc
  is_gone "$name"
  all_ended n1
}

@test "an epilog that never came: the job is forgotten when asked" {
  begin 1
  it_kill_node n1 KILL
  kill -KILL "$(stepd "$job")" "$(pgrep -f "^python $IT_SUBMIT/work.1.py")"
  scontrol update nodename=n1 state=down reason=crashed
  it_wait "$job"
  # a collector does not know; and the node is not there to run an epilog
  gc
  is_there "$name"
  run -0 --separate-stderr gc --reconcile
  assert_contains "$output" "1 jobs that Slurm does not know"
  is_gone "$name"
  all_ended n1
  it_start_node n1
  scontrol update nodename=n1 state=resume || : # it may be by itself
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$FILE" printenv AQ_RESOLUTION
  assert_equal "$output" inherited
}

@test "a job whose mark is gone: the next epilog forgets its steps" {
  begin 1
  kill -KILL "$(stepd "$job")" "$(pgrep -f "^python $IT_SUBMIT/work.1.py")"
  rm "$IT_DIR/nodes/n1/run/jobs/$job.n1"
  as_user srun -w n1 --overlap --aq-requirements="$FILE" true
  wait_until 30 no_step_of "$job"
  scancel "$job"
  it_wait "$job"
  it_begin
  gc
  is_gone "$name"
  all_ended n1
}
no_step_of() { [[ $(it_refs n1 "job = $1 AND step != 4294967295") -eq 0 ]]; }

@test "a boot: what was held before it is nobody's" {
  local run=$IT_DIR/nodes/n1/run
  begin 1
  ended 1
  it_begin
  # an old boot's reference, in a run_dir that outlived it
  it_leases n1 put 7 n1 "$name" 00000000-0000-0000-0000-000000000000
  touch "$run/jobs/7.n1"
  gc
  is_gone "$name"
  assert_equal "$(it_refs n1 1)" 0
  # and a run_dir that did not
  rm -rf "$run" "$run-public"
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$FILE" printenv AQ_RESOLUTION
  assert_equal "$output" inherited
  it_begin
  all_ended n1
}

@test "two slurmd that share their directories: each has its own references" {
  local other
  sed -i "s,nodes/%n/,nodes/n1/,; s,^run_dir.*,run_dir = $IT_DIR/nodes/n1/run," "$IT_DIR/etc/aq.conf"
  begin 1
  work 2 >"$IT_SUBMIT/work.2.py"
  other=$(it_submit --no-requeue -w n2 --aq-requirements="$FILE" --wrap "exec python $IT_SUBMIT/work.2.py")
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/up.2"
  assert_equal "$(it_refs n1 "node = 'n1' AND env = '$name'")" 1
  assert_equal "$(it_refs n1 "node = 'n2' AND env = '$name'")" 1
  # the first node's job ends: the other's holds
  ended 1
  wait_until 30 it_has_no_refs n1 "node = 'n1'"
  gc
  gc --reconcile
  is_there "$name"
  assert_equal "$(it_refs n1 "node = 'n2' AND env = '$name'")" 1
  # a job with one id on both nodes: its end on one is not that on the other
  work 3 >"$IT_SUBMIT/work.3.py"
  job=$(it_submit --no-requeue -N 2 -w n1,n2 --aq-requirements="$FILE" --wrap "srun -N 1 -w n2 python $IT_SUBMIT/work.3.py")
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/up.3"
  assert_equal "$(it_refs n1 "job = $job AND node = 'n2' AND step = 0")" 1
  kill -KILL "$(stepd "$job")"
  gc
  is_there "$name"
  touch "$IT_SUBMIT/go.2" "$IT_SUBMIT/go.3"
  wait_until "$IT_JOB_SECONDS" it_has_no_refs n1 "node = 'n2' AND step != 4294967295"
  scancel "$job"
  it_wait "$job"
  job=$other
  ended 2
  it_begin
  gc
  is_gone "$name"
  assert_equal "$(it_refs n1 1)" 0
}
