#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Builds are shared out among users: who asks for many does not keep others
# waiting, and what happens to one user's build is theirs alone.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib

setup_file() {
  it_up --nodes 2 --cpus 64
  chmod 1777 "$IT_SUBMIT"
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_open
  it_forget
  limits
}
teardown() { it_open && it_end; }

# limits LINE...: what is fair in aq.conf, until others are set.
limits() {
  sed -i '/^\(max_builds\|max_builds_user\|max_new_keys\|build_timeout\|user_quota\|grace\|min_free\) /d;\|nodes/n1|d' "$IT_DIR/etc/aq.conf"
  (($# == 0)) || printf '%s\n' "$@" >>"$IT_DIR/etc/aq.conf"
}

# key N: a request with a key of its own; all lead to one environment.
key() { it_file "key-$1.yaml" <<<"{channels: [conda-forge], dependencies: ['activate-demo>=0.0.$1']}"; }

# submit USER N ARGUMENT...: a job on n1 that asks for key N; prints its id.
submit() {
  local user=$1 file
  file=$(key "$2")
  shift 2
  as_user -u "$user" sbatch --parsable -w n1 --output="$IT_SUBMIT/%A_%a.out" \
    --aq-requirements="$file" "$@" --wrap 'echo "ran $AQ_RESOLUTION"'
}

tickets() { find "$IT_DIR/nodes/${2:-n1}/run/queue" -name "*-[$1]" 2>/dev/null | wc -l; }
has_tickets() { [[ $(tickets "$1") -eq $2 ]]; }
# which keys were built there, in their order
built() { it_calls n1 | sed -n 's/^solve .*activate-demo *>= *0\.0\.\([0-9]*\).*/\1/p'; }
at_gate() { [[ $(cat <(it_calls n1) <(it_calls n2) | grep -cxFf "$IT_DIR/gate") -eq $1 ]]; }
output_of() { cat "$IT_SUBMIT/$1"_*.out; }
nothing_is_left() { has_tickets wqb 0 && it_is_clean n1; }

@test "1 user with 20 keys, another with 1: that one is built second" {
  local i first other jobs=()
  limits "max_builds = 1"
  it_gate before solve
  first=$(submit "$AQ_TEST_USER" 1)
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  for i in {2..20}; do jobs+=("$(submit "$AQ_TEST_USER" "$i")"); done
  wait_until "$IT_JOB_SECONDS" has_tickets q 19
  other=$(submit "$AQ_OTHER_USER" 99)
  wait_until "$IT_JOB_SECONDS" has_tickets q 20
  assert_equal "$(tickets b)" 1
  assert_equal "$(built)" 1
  it_open
  for i in "$first" "$other" "${jobs[@]}"; do
    it_wait "$i"
    it_job_is COMPLETED "$i"
  done
  assert_equal "$(built | head -n 2 | tr '\n' ' ')" "1 99 "
  assert_equal "$(built | wc -l)" 21
  # told once, and how many are before them
  assert_equal "$(output_of "$other" | grep -c 'waiting for a turn')" 1
  assert_contains "$(output_of "$other")" "waiting for a turn: 1 being built, 0 before this one ('max_builds' 1, 'max_builds_user' 1)"
  wait_until "$IT_JOB_SECONDS" nothing_is_left
}

@test "by default a node builds two at once, of one user one" {
  local a b c
  it_gate before solve
  a=$(submit "$AQ_TEST_USER" 1)
  wait_until "$IT_JOB_SECONDS" at_gate 1
  b=$(submit "$AQ_TEST_USER" 2)
  wait_until "$IT_JOB_SECONDS" has_tickets q 1
  c=$(submit "$AQ_OTHER_USER" 3)
  wait_until "$IT_JOB_SECONDS" at_gate 2
  assert_equal "$(built | tr '\n' ' ')" "1 3 "
  assert_equal "$(tickets b) $(tickets q)" "2 1"
  # root waits for nobody
  run -0 --separate-stderr timeout 60 env -u AQ_CONF aq --config "$IT_DIR/etc/aq.conf" --node n1 build --json "$(key 4)" 3>&- &
  wait_until "$IT_JOB_SECONDS" at_gate 3
  it_open
  wait
  for job in "$a" "$b" "$c"; do
    it_wait "$job"
    it_job_is COMPLETED "$job"
  done
}

@test "who waits behind another's queue for the same key is not moved into it" {
  local i mine other jobs=()
  limits "max_builds = 1"
  it_gate before solve
  jobs+=("$(submit "$AQ_TEST_USER" 1)")
  wait_until "$IT_JOB_SECONDS" at_gate 1
  for i in {2..6}; do
    jobs+=("$(submit "$AQ_TEST_USER" "$i")")
    wait_until "$IT_JOB_SECONDS" has_tickets q $((i - 1))
  done
  # the last one of that queue
  other=$(submit "$AQ_OTHER_USER" 6)
  wait_until "$IT_JOB_SECONDS" has_tickets w 1
  it_open
  for i in "$other" "${jobs[@]}"; do
    it_wait "$i"
    it_job_is COMPLETED "$i"
  done
  assert_equal "$(built | tr '\n' ' ')" "1 6 2 3 4 5 "
}

@test "killed and cancelled builders in the queue: it goes on, and no place is lost" {
  local i pid job jobs=() builders killed=0
  limits "max_builds = 1"
  RANDOM=${AQ_SEED:-1}
  it_gate before solve
  jobs+=("$(submit "$AQ_TEST_USER" 1)")
  wait_until "$IT_JOB_SECONDS" at_gate 1
  for i in {2..12}; do
    jobs+=("$(submit "$([[ $((i % 2)) == 0 ]] && echo "$AQ_OTHER_USER" || echo "$AQ_TEST_USER")" "$i")")
  done
  wait_until "$IT_JOB_SECONDS" has_tickets q 11
  # the one that builds is killed too, at times
  mapfile -t builders < <(it_builders n1 | shuf -n 5 --random-source=<(yes "$RANDOM"))
  assert_equal "${#builders[@]}" 5
  for pid in "${builders[@]}"; do
    kill -KILL "$pid"
    it_open # the rest meets the queue while it moves
  done
  for job in "${jobs[@]}"; do
    it_wait "$job"
    if it_job_is COMPLETED "$job"; then
      assert_contains "$(output_of "$job")" "ran "
    else
      killed=$((killed + 1))
      assert_contains "$(output_of "$job")" "ended without a word"
    fi
  done
  ((killed > 0 && killed <= 5))
  # the next one takes what the dead have left
  job=$(submit "$AQ_TEST_USER" 20)
  it_wait "$job"
  it_job_is COMPLETED "$job"
  wait_until "$IT_JOB_SECONDS" it_is_clean n1
  assert_equal "$(tickets b)" 0
}

@test "scancel in the queue is felt within 2 s" {
  local first second third
  limits "max_builds = 1"
  it_gate before solve
  first=$(submit "$AQ_TEST_USER" 1)
  wait_until "$IT_JOB_SECONDS" at_gate 1
  second=$(submit "$AQ_TEST_USER" 2)
  third=$(submit "$AQ_TEST_USER" 3)
  wait_until "$IT_JOB_SECONDS" has_tickets q 2
  scancel "$second"
  wait_until 2 has_tickets q 1
  it_wait "$second" 10
  it_job_is CANCELLED "$second"
  it_open
  it_wait "$third"
  it_job_is COMPLETED "$third"
  it_job_is COMPLETED "$first"
  assert_equal "$(built | tr '\n' ' ')" "1 3 "
}

@test "build_timeout counts from when the build begins" {
  local first second third
  limits "max_builds = 1" "build_timeout = 6"
  it_gate before solve
  first=$(submit "$AQ_TEST_USER" 1)
  wait_until "$IT_JOB_SECONDS" at_gate 1
  second=$(submit "$AQ_TEST_USER" 2)
  third=$(submit "$AQ_OTHER_USER" 3)
  wait_until "$IT_JOB_SECONDS" has_tickets q 2
  # two are ended by their time, one after the other, while the last one waits
  wait_until "$IT_JOB_SECONDS" at_gate 3
  it_open
  for job in "$first" "$second" "$third"; do it_wait "$job"; done
  assert_contains "$(output_of "$first")" "build_timeout"
  assert_equal "$(cat "$IT_SUBMIT/$first"_*.out "$IT_SUBMIT/$second"_*.out "$IT_SUBMIT/$third"_*.out | grep -c build_timeout)" 2
  assert_equal "$(built | tail -n 1)" 2
  it_job_is COMPLETED "$second"
}

@test "two nodes of one host build side by side" {
  local a b
  limits "max_builds = 1"
  it_gate before solve
  a=$(submit "$AQ_TEST_USER" 1)
  b=$(submit "$AQ_TEST_USER" 1 -w n2)
  wait_until "$IT_JOB_SECONDS" at_gate 2
  it_open
  it_wait "$a"
  it_wait "$b"
  it_job_is COMPLETED "$a"
  it_job_is COMPLETED "$b"
}

@test "two nodes of one run_dir share its slots" {
  local a b
  limits "max_builds = 1" "cache_dir = $(it_cache n1)" "run_dir = $IT_DIR/nodes/n1/run"
  it_gate before solve
  a=$(submit "$AQ_TEST_USER" 1)
  wait_until "$IT_JOB_SECONDS" at_gate 1
  b=$(submit "$AQ_OTHER_USER" 2 -w n2)
  wait_until "$IT_JOB_SECONDS" has_tickets q 1
  assert_equal "$(tickets b)" 1
  it_open
  it_wait "$a"
  it_wait "$b"
  it_job_is COMPLETED "$a"
  it_job_is COMPLETED "$b"
  assert_equal "$(built | tr '\n' ' ')" "1 2 "
}

@test "an array of 50 tasks of one key is one build" {
  local job
  it_gate before solve
  job=$(submit "$AQ_TEST_USER" 1 --array=1-50)
  wait_until "$IT_JOB_SECONDS" has_tickets w 49
  assert_equal "$(tickets b) $(tickets q)" "1 0"
  it_open
  it_wait "$job" 300
  it_job_is COMPLETED "$job"
  assert_equal "$(it_attempts n1)" 1
  wait_until "$IT_JOB_SECONDS" nothing_is_left
}

@test "another user's build goes on when the first who asked cancels, from where it was" {
  local mine other
  it_gate before link
  mine=$(submit "$AQ_TEST_USER" 1)
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  other=$(submit "$AQ_OTHER_USER" 1)
  wait_until "$IT_JOB_SECONDS" has_tickets w 1
  scancel "$mine"
  it_wait "$mine"
  it_job_is CANCELLED "$mine"
  it_open
  it_wait "$other"
  it_job_is COMPLETED "$other"
  assert_equal "$(it_attempts n1)" 1
}

@test "it goes on for who asked for the same packages in other words, too" {
  local mine other
  it_gate before link
  mine=$(submit "$AQ_TEST_USER" 1)
  wait_until "$IT_JOB_SECONDS" at_gate 1
  other=$(submit "$AQ_OTHER_USER" 2)
  wait_until "$IT_JOB_SECONDS" is_wanted
  scancel "$mine"
  it_wait "$mine"
  it_job_is CANCELLED "$mine"
  it_open
  it_wait "$other"
  it_job_is COMPLETED "$other"
  assert_contains "$(output_of "$other")" "nothing new on disk"
  assert_equal "$(it_calls n1 | grep -c '^link ')" 1
}

# a builder waits for another key's build of its lock: it has resolved
is_wanted() { [[ $(built | tr '\n' ' ') == "1 2 " && $(tickets b) -eq 2 ]] && waits_for_lock; }
waits_for_lock() {
  local inode
  inode=$(stat -c %i "$IT_DIR"/nodes/n1/run/locks/want-*) && grep -q "POSIX .*:$inode " /proc/locks
}

@test "a build of the other user's that is killed, or over its time, is not this one's failure" {
  local mine other
  limits "build_timeout = 8"
  it_gate before solve
  mine=$(submit "$AQ_TEST_USER" 1)
  wait_until "$IT_JOB_SECONDS" at_gate 1
  other=$(submit "$AQ_OTHER_USER" 1)
  wait_until "$IT_JOB_SECONDS" has_tickets w 1
  it_wait "$mine"
  assert_contains "$(output_of "$mine")" "build_timeout"
  wait_until "$IT_JOB_SECONDS" at_gate 2
  it_open
  it_wait "$other"
  it_job_is COMPLETED "$other"
  refute_contains "$(output_of "$other")" "build_timeout"
}

@test "max_new_keys: refused with when the next can be, others and hits are not" {
  limits "max_new_keys = 2"
  run -0 as_user srun -w n1 --aq-requirements="$(key 1)" true
  run -0 as_user srun -w n1 --aq-requirements="$(key 2)" true
  run -125 --separate-stderr as_user srun -w n1 --aq-requirements="$(key 3)" true
  assert_contains "$stderr" "2 environments were built for you here within an hour, which is what 'max_new_keys' allows: the next can be in "
  # of that user alone, and nothing is remembered of it
  run -0 --separate-stderr as_user -u "$AQ_OTHER_USER" srun -w n1 --aq-requirements="$(key 3)" printenv AQ_RESOLUTION
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(key 3)" printenv AQ_RESOLUTION
  assert_equal "$output" reused
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(key 1)" printenv AQ_RESOLUTION
  assert_equal "$output" reused
  assert_equal "$(built | tr '\n' ' ')" "1 2 3 "
  # whoever asks for many keys leaves nothing for each, refused or not
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  assert_equal "$(it_key_files n1)" ""
  assert_equal "$(find "$(it_cache n1)"/work/pass/* -prune ! -name bytecode)" ""
}

@test "user_quota is held before a build: who is over it is told what to do" {
  local job other
  rm -f "$IT_SUBMIT/started" "$IT_SUBMIT/go"
  job=$(as_user sbatch --parsable -w n1 --output=/dev/null --aq-requirements="$(key 1)" \
    --wrap "touch $IT_SUBMIT/started; while [ ! -e $IT_SUBMIT/go ]; do sleep 0.1; done")
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/started"
  limits "user_quota = 1" "grace = 0"
  other=$(it_file another.yaml <<<'{channels: [conda-forge], dependencies: [prefix-demo]}')
  run -125 --separate-stderr as_user srun -w n1 --aq-requirements="$other" true
  assert_contains "$stderr" "'user_quota' allows 1 B, and none of them can go"
  assert_contains "$stderr" "aq list --shared"
  assert_equal "$(it_attempts n1)" 1
  # it is that user's alone: nothing is remembered of the request
  run -0 --separate-stderr as_user -u "$AQ_OTHER_USER" srun -w n1 --aq-requirements="$other" printenv AQ_RESOLUTION
  assert_equal "$output" created
  # what is there may be used; what is in use does not go
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(key 1)" printenv AQ_RESOLUTION
  assert_equal "$output" reused
  # once their own can go, it goes
  touch "$IT_SUBMIT/go"
  it_wait "$job"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$(it_file third.yaml <<<'{channels: [conda-forge], dependencies: [prefix-demo, activate-demo]}')" printenv AQ_RESOLUTION
  assert_equal "$output" created
}
