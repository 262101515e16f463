#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a build may take: memory, processes and processors of all its programs
# together, in a control group beside the job's, and what it may write.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib

setup_file() {
  local word
  word=$(it_word)
  it_up --proctrack cgroup --node-name "$word"
  export NODE=${word}1
  it_wheels
  it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip]}' >/dev/null
  aq --node "$NODE" base add 3.9 --file "$IT_SUBMIT/base.yaml"
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_open
  limits
  wait_while "$IT_BEHIND_SECONDS" it_has_workers "$NODE" # that compile for the base
}
teardown() {
  it_open
  wait_while "$IT_BEHIND_SECONDS" it_has_workers "$NODE"
  it_end
}

# limits LINE...: of builds in aq.conf, until others are set.
limits() {
  sed -i '/^build_/d' "$IT_DIR/etc/aq.conf"
  (($# == 0)) || printf '%s\n' "$@" >>"$IT_DIR/etc/aq.conf"
}

# code NAME LINE...: a wheel whose code runs when its environment is probed.
code() {
  local name=$1
  shift
  it_wheel "$name" 1.0 --file "aq_run_${name//-/_}.pth=import aq_run_${name//-/_}"$'\n' \
    --file "aq_run_${name//-/_}.py=$(printf '%s\n' "$@")"$'\n'
  it_file "$name.yaml" <<<"{channels: [conda-forge], dependencies: [python=3.9, {pip: [$name]}]}"
}

# is_limited: whether this machine lets us make such groups.
is_limited() { ! aq --node "$NODE" doctor | grep -q 'no control group'; }

# group_of PID: the name of the build's group that the process is in, if any.
group_of() { grep -o 'aq-build-[0-9a-f]*-[0-9]*' "/proc/$1/cgroup" | head -n 1; }

# groups NAME: directories of that name.
groups_of() { find /sys/fs/cgroup -type d -name "$1" 2>/dev/null; }
has_no_group() { [[ -z $(groups_of "$1") ]]; }

# what_of GROUP V1FILE V2FILE: that file's text.
what_of() {
  local dir
  for dir in $(groups_of "$1"); do
    if [[ -e $dir/$2 ]]; then cat "$dir/$2"; fi
    if [[ -e $dir/$3 ]]; then cat "$dir/$3"; fi
  done | head -n 1
}

# of_builder: the pid of the one that is at work.
of_builder() { it_builders "$NODE" | head -n 1; }

failures() {
  python3 - "$(it_cache "$NODE")/cache.db" <<'PY'
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM failures").fetchone()[0])
PY
}

@test "a build has a group of its own while it runs, and leaves none" {
  local file job pid group
  is_limited || skip "no control groups can be made here"
  limits "build_memory = 3G" "build_cpus = 2"
  it_gate after solve
  file=$(it_small)
  job=$(it_submit --aq-requirements="$file" --wrap 'echo ran')
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  pid=$(of_builder)
  group=$(group_of "$pid")
  [[ -n $group ]]
  # beside the job's, whatever Slurm makes for that
  run ! grep -E '/(job|uid)_[0-9]' "/proc/$pid/cgroup"
  # the client too, in whatever namespace it is
  assert_equal "$(pgrep -u "$AQ_BUILDER_USER" -f "$IT_DIR/client" | while read -r p; do group_of "$p"; done | sort -u)" "$group"
  assert_equal "$(what_of "$group" memory.limit_in_bytes memory.max)" "$((3 << 30))"
  assert_equal "$(what_of "$group" pids.max pids.max)" 4096
  assert_equal "$(what_of "$group" cpu.cfs_quota_us cpu.max | cut -d ' ' -f 1)" 200000
  (($(cat "/proc/$pid/oom_score_adj") <= 0)) # -1000 where that may be said
  it_open
  it_wait "$job"
  it_job_is COMPLETED "$job"
  wait_until 10 has_no_group "$group"
}

@test "a build that needs too much memory is ended, says so, and is not remembered" {
  local file
  file=$(code aq-greedy 'b = bytearray(900 << 20)' 'b[::4096] = b"x" * len(b[::4096])')
  limits "build_memory = 400M"
  run -3 --separate-stderr aq --node "$NODE" build "$file"
  assert_contains "$stderr" "'build_memory'"
  assert_equal "$(failures)" 0
  limits
  run -0 --separate-stderr aq --node "$NODE" build "$file"
}

@test "where no control group can be made each process is limited, and doctor says so" {
  local file
  without_groups() { unshare -m sh -c 'umount -l -R /sys/fs/cgroup && exec "$@"' - "$@"; }
  file=$(code aq-greedy-too 'import os, sys' 'try: bytearray(900 << 20)' \
    'except MemoryError: sys.stderr.write("MemoryError\n"); sys.stderr.flush(); os._exit(1)')
  limits "build_memory = 400M"
  run -3 --separate-stderr without_groups aq --node "$NODE" build "$file"
  assert_contains "$stderr" "needed more memory than 'build_memory' allows"
  assert_equal "$(grep -l 'memory, processes: no control group' "$(it_cache "$NODE")"/logs/*.log | wc -l)" 1
  assert_equal "$(failures)" 0
  run without_groups aq --node "$NODE" doctor
  assert_contains "$output" "no control group"
}

@test "the processes of one user's build are none of another's" {
  local bomb other first
  is_limited || skip "no control groups can be made here"
  limits
  bomb=$(code aq-many 'import os, time' 'if os.getpid() != 1:' \
    '    read, write = os.pipe()' \
    '    try:' \
    '        for _ in range(600):' \
    '            if not os.fork(): os.close(write); os.read(read, 1); os._exit(0)' \
    '    except OSError: pass' \
    "    open(os.environ['TMPDIR'] + '/full', 'w').close()" \
    "    while os.path.exists('$IT_DIR/hold'): time.sleep(.02)")
  other=$(code aq-few 'import os' 'try:' '    if not os.fork(): os._exit(0)' '    os.wait()' \
    'except OSError: os._exit(9)')
  touch "$IT_DIR/hold"
  chmod 755 "$IT_DIR"
  aq --node "$NODE" build "$bomb" 3>&- >"$IT_DIR/first" 2>&1 &
  first=$!
  is_full() { compgen -G "$(it_cache "$NODE")/work/probe/*/full" >/dev/null; }
  wait_until "$IT_JOB_SECONDS" is_full
  run -0 --separate-stderr aq --node "$NODE" build "$other"
  rm "$IT_DIR/hold"
  wait "$first" || { cat "$IT_DIR/first" >&2; false; }
}

# kill_one: a builder of a job's, which resolves, is killed; GROUP is what it leaves.  LEFT,
# a process that is in it, keeps the job's epilog from collecting it.
kill_one() {
  local dir job pid slot locks=$IT_DIR/nodes/$NODE/run/locks
  is_limited || skip "no control groups can be made here"
  it_forget
  # it has not the first name, which the next one takes over whatever it finds
  install -d -m 700 "${locks%/locks}" "$locks"
  install -m 600 /dev/null "$locks/cgroup-0"
  exec {slot}<"$locks/cgroup-0"
  flock -n "$slot"
  it_gate before solve
  job=$(it_submit --aq-requirements="$(it_small)" --wrap true)
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  pid=$(of_builder)
  GROUP=$(group_of "$pid")
  [[ $GROUP == *-1 ]]
  sleep "$IT_JOB_SECONDS" 3>&- &
  LEFT=$!
  for dir in $(groups_of "$GROUP"); do echo "$LEFT" >"$dir/cgroup.procs"; done
  kill -KILL "$pid"
  it_wait "$job"
  it_open
  exec {slot}<&-
  [[ -n $(groups_of "$GROUP") ]]
}

@test "what a killed builder leaves goes with the next build" {
  kill_one
  # from where it lies: another job's
  run -0 --separate-stderr as_user srun --aq-requirements="$(it_small)" printenv AQ_RESOLUTION
  assert_equal "$output" created
  wait_until 10 has_no_group "$GROUP"
  run ! kill -0 "$LEFT"
}

@test "what a killed builder leaves goes with a collection, if nobody builds there" {
  kill_one
  kill "$LEFT"
  # programs of it end with it, which may take a moment
  is_gone() { it_gc_beside "$NODE" >/dev/null && has_no_group "$GROUP"; }
  wait_until 10 is_gone
}

@test "a builder that only makes byte-code leaves no group" {
  local file lock pid first second group locks=$IT_DIR/nodes/$NODE/run/locks
  is_limited || skip "no control groups can be made here"
  it_forget
  aq --node "$NODE" gc >/dev/null # there are locks
  file=$(it_file late.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, threadpoolctl]}')
  # who makes byte-code waits for this
  exec {lock}>"$locks/bytecode"
  flock "$lock"
  it_gate before solve
  aq --node "$NODE" build "$file" 3>&- 2>"$IT_DIR/first.err" &
  first=$!
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  pid=$(of_builder)
  group=$(group_of "$pid")
  [[ -n $group ]]
  aq --node "$NODE" build "$file" 3>&- 2>"$IT_DIR/second.err" &
  second=$!
  wait_until "$IT_JOB_SECONDS" grep -q "another job builds" "$IT_DIR/second.err"
  it_open
  wait "$first"
  wait "$second"
  # the one that found it is left
  kill -KILL "$pid"
  exec {lock}>&-
  wait_while "$IT_BEHIND_SECONDS" it_has_workers "$NODE"
  assert_equal "$(ls "$(it_cache "$NODE")/work/bytecode/pending")" ""
  assert_equal "$(groups_of "${group%-*}-*")" ""
}

# is_too_much: which of the two is seen first is chance.
is_too_much() {
  [[ $stderr == *"larger than a build may write ("* || $stderr == *"the build fills the disk: it has written more than "* ]] || {
    echo "$stderr" >&2
    return 1
  }
}

# used: MiB of the cache.
used() { du -s --block-size=1M "$(it_cache "$NODE")" | cut -f 1; }

# is_ended FILE: its build is, and leaves nothing on the disk.
is_ended() {
  local before
  aq --node "$NODE" build "$(it_small)"
  before=$(used)
  limits "build_disk = 200M"
  run -3 --separate-stderr aq --node "$NODE" build "$1"
  is_too_much
  assert_equal "$(failures)" 0
  (($(used) - before < 20)) || {
    find "$(it_cache "$NODE")/work" -size +10M >&2
    return 1
  }
}

@test "a package that unpacks to more than it may is ended, and the disk comes back" {
  local evil=$IT_DIR/evil
  mkdir -m 755 "$evil"
  "$AQ_LIB/make-package" "$evil" aq-bomb 1.0 --bulk 512
  (($(stat -c %s "$evil"/noarch/aq-bomb-1.0-0.tar.bz2) < 100000))
  echo "channels = conda-forge=$AQ_CHANNEL evil=file://$evil" >>"$IT_DIR/etc/aq.conf"
  is_ended "$(it_file bomb.yaml <<<'{channels: [evil], dependencies: [aq-bomb]}')"
}

@test "a wheel that unpacks to more than it may is ended, and the disk comes back" {
  it_wheel aq-wheel-bomb 1.0 --bulk 512
  is_ended "$(it_file wheel-bomb.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, {pip: [aq-wheel-bomb]}]}')"
}

@test "an index that is too large is not kept, and that is no verdict" {
  local evil=$IT_DIR/big file
  mkdir -m 755 "$evil"
  "$AQ_LIB/make-package" "$evil" aq-hidden 1.0
  python3 - "$evil" <<'PY'
import sys, pathlib
p = pathlib.Path(sys.argv[1]) / "noarch" / "repodata.json"
text = p.read_text().rstrip()
with p.open("w") as f:
    f.write(text + " " * (200 << 20))
PY
  it_serve "$evil"
  echo "channels = conda-forge=$AQ_CHANNEL big=http://127.0.0.1:$PORT" >>"$IT_DIR/etc/aq.conf"
  file=$(it_file big.yaml <<<'{channels: [big], dependencies: [aq-hidden]}')
  limits "build_disk = 100M"
  run --separate-stderr aq --node "$NODE" build "$file"
  kill "$(<"$IT_DIR/server")"
  assert_equal "$status" 3
  is_too_much
  assert_equal "$(failures)" 0
}

# long N: so many characters.
long() { head -c "$1" /dev/zero | tr '\0' x; }

@test "an activation that the request's variables make too long is told, and what was built stays whole" {
  local own=$IT_DIR/long
  mkdir -m 755 "$own"
  "$AQ_LIB/make-package" "$own" aq-long 1.0 --file "etc/conda/env_vars.d/long.json={\"LONG\": \"$(long 50000)\"}"
  echo "channels = conda-forge=$AQ_CHANNEL own=file://$own" >>"$IT_DIR/etc/aq.conf"
  run -3 --separate-stderr aq --node "$NODE" build \
    "$(it_file both.yaml <<<"{channels: [own], dependencies: [aq-long], variables: {OWN: $(long 20000)}}")"
  assert_contains "$stderr" "the environment's activation"
  run -0 aq --node "$NODE" verify
  # it serves who asks for less
  run -0 --separate-stderr aq --node "$NODE" build --json \
    "$(it_file one.yaml <<<'{channels: [own], dependencies: [aq-long]}')"
  [[ -e $(jq -r .prefix <<<"$output")/etc/conda/env_vars.d/long.json ]]
}

@test "what a program says reaches the log as text that can be read" {
  local file log
  file=$(code aq-loud 'import sys' \
    'sys.stderr.write("\x1b]0;title\x07\x1b[31mred\x1b[0m\x00\x9b\rstep 1\rstep 2\r\n\u202eturned\n")')
  rm -f "$(it_cache "$NODE")"/logs/*
  run -0 --separate-stderr aq --node "$NODE" build "$file"
  log=$(cat "$(it_cache "$NODE")"/logs/*.log)
  assert_contains "$log" $'red'
  assert_contains "$log" $'\nstep 1\nstep 2\n'
  run ! grep -qP '[\x00-\x08\x0b-\x1f\x7f]' <<<"$log"
  run ! grep -q $'\u202e' <<<"$log"
}
