# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What every integration test has: a private Slurm for its file, an account to
# submit as, and conditions to wait for.  A file begins
#
#     load lib
#     setup_file() { it_up --nodes 2; }
#     teardown_file() { it_down; }
#     setup() { it_begin; }
#     teardown() { it_end; }
#
# From the environment, all optional (./check sets them):
#   AQ_IT_INSTALL   where slurm-aq is installed; else built from this checkout
#   AQ_IT_SLURM     prefix of the Slurm to run (/usr)
#   AQ_IT_CLIENT    another conda client for aq.conf
#   AQ_IT_KEEP      any value: leave a failed file's directory in place
#   AQ_IT_IN        where the directories of clusters are made (/var/tmp)

bats_require_minimum_version 1.5.0

AQ_LIB=$BATS_TEST_DIRNAME/../lib
. "$AQ_LIB/cache.sh"
. "$AQ_LIB/wait.sh"
. "$AQ_LIB/accounts.sh"
. "$AQ_LIB/packages.sh"
. "$AQ_LIB/cluster.sh"
. "$AQ_LIB/uncaged.sh"

readonly IT_JOB_SECONDS=120 # a job with a build in it, on a loaded machine
# what a builder does once it has answered: with a tenth of what others get
readonly IT_BEHIND_SECONDS=600
readonly IT_BEHIND_NICE=10 # builder/limits_group.c's NICE_LAST, by which one knows it

# it_up OPTION...: start the file's cluster (options: tests/lib/cluster -h).
it_up() {
  [[ $EUID -eq 0 ]] || skip "a private Slurm needs root"
  local install tools channel client
  it_is_apart
  IT_DIR=$(mktemp -d "${AQ_IT_IN:-/var/tmp}/aq-it.XXXXXX")
  export IT_DIR
  install=${AQ_IT_INSTALL:-$AQ_CACHE/install-$(cache_recipe "=$AQ_LIB")}
  [[ -n ${AQ_IT_INSTALL-} ]] || "$AQ_LIB/install-tree" "$install"
  tools=$("$AQ_LIB/get-tools")
  channel=$("$AQ_LIB/get-channel")
  cluster_up "$IT_DIR" --install "$install" --slurm "${AQ_IT_SLURM:-/usr}" \
    --tools "$tools" --channel "$channel" "$@" 3>&-
  client=${AQ_IT_CLIENT:-$IT_DIR/bin/aq-rattler}
  echo "client = $(it_client "$client")" >>"$IT_DIR/etc/aq.conf"
  # shellcheck source=/dev/null
  . "$IT_DIR/env.sh"
  IT_SUBMIT=$IT_DIR/submit # where the test user works
  export IT_SUBMIT IT_INSTALL=$install CLUSTER_SLURM=${AQ_IT_SLURM:-/usr}
  install -d -o "$AQ_TEST_USER" -g "$AQ_TEST_USER" "$IT_SUBMIT"
}

# it_is_apart: tests look for processes, and kill what they find.
it_is_apart() {
  [[ ${AQ_APART-} == yes ]] || {
    echo "start it with tests/lib/apart: tests look for processes, and kill what they find" >&2
    return 1
  }
}

# it_word: a letter and digits that no other cluster has, for what is the machine's, as
# control groups are.
it_word() { echo "a${SRANDOM}x"; }

# it_needs_bundled WHY: skip where AQ_IT_CLIENT is another client.
it_needs_bundled() { it_is_bundled || skip "with aq-rattler alone: $1"; }
it_is_bundled() { [[ ${AQ_IT_CLIENT-aq-rattler} == *aq-rattler ]]; }

# it_alone: IT_DIR, IT_INSTALL and AQ_CONF, still to be written, of a node without Slurm:
# what aq alone can show.
it_alone() {
  [[ $EUID -eq 0 ]] || skip "needs root, for the accounts of a node's builds"
  it_is_apart
  need_accounts
  IT_DIR=$(mktemp -d "${AQ_IT_IN:-/var/tmp}/aq-it.XXXXXX")
  chmod 755 "$IT_DIR"
  IT_INSTALL=${AQ_IT_INSTALL:-$AQ_CACHE/install-$(cache_recipe "=$AQ_LIB")}
  [[ -n ${AQ_IT_INSTALL-} ]] || "$AQ_LIB/install-tree" "$IT_INSTALL"
  mkdir "$IT_DIR/bin"
  export IT_DIR IT_INSTALL AQ_CONF=$IT_DIR/aq.conf PATH=$IT_INSTALL/bin:$PATH
}

# it_node CLIENT: one whose builds have CLIENT, a program that takes rattler's
# arguments.
it_node() {
  it_alone
  install -m 755 "$1" "$IT_DIR/bin/rattler"
  cat >"$AQ_CONF" <<CONF
cache_dir = $IT_DIR/lib
run_dir = $IT_DIR/run
builder_user = $AQ_BUILDER_USER
probe_user = $AQ_PROBE_USER
client = $IT_DIR/bin/rattler
channels = conda-forge=file://$IT_DIR
CONF
  chmod 644 "$AQ_CONF"
  echo '{channels: [conda-forge], dependencies: [x]}' >"$IT_DIR/req.yaml"
}

# it_alone_works: somebody builds there, or does what a builder does behind its answer.
# In a cache of one's own the client is nobody's but that user's.
it_alone_works() { pgrep -u "$AQ_BUILDER_USER,$AQ_PROBE_USER" >/dev/null || pgrep -f -- "$IT_DIR/" >/dev/null; }

# it_alone_idle: until nobody does.
it_alone_idle() { wait_while "$IT_BEHIND_SECONDS" it_alone_works; }

# it_alone_down: end that node, with all who work for it.
it_alone_down() {
  [[ -n ${IT_DIR-} && -z ${AQ_IT_KEEP-} ]] || return 0
  pkill -KILL -x aq-builder || :
  it_alone_idle
  rm -rf "$IT_DIR"
}

# it_down: end it; whatever outlived it is a failure.
it_down() {
  local status=0
  [[ -n ${IT_DIR-} ]] || return 0
  [[ ! -e $IT_DIR/server ]] || kill "$(<"$IT_DIR/server")" 2>/dev/null || :
  cluster_down "$IT_DIR" || status=1
  if [[ -n ${AQ_IT_KEEP-} && (-e $IT_DIR/failed || $status -ne 0) ]]; then
    echo "kept: $IT_DIR" >&2
  else
    rm -rf "$IT_DIR"
  fi
  return "$status"
}

# Every test begins on an idle cluster ...
it_begin() { cluster_wait_idle "$IT_DIR" "$IT_JOB_SECONDS"; }

# ... and none may leave a node down or drained.
it_end() {
  [[ ${BATS_TEST_COMPLETED-} == 1 ]] || {
    touch "$IT_DIR/failed"
    # what bats does not show of a command that `run --separate-stderr` ran
    [[ -z ${stderr-} ]] || printf 'standard error of the last run:\n%s\n' "$stderr"
    it_look
  }
  it_nodes_are_fine
}

# it_look: the cluster as it is, for who reads of a failure on a machine that is gone.
readonly IT_LOOK_LINES=8 # of a log or an output
it_look() {
  local file
  timeout 10 squeue --all --format='job %A %u %N %T %r'
  ps -e -ww -o pid=,ppid=,user=,stat=,ni=,etimes=,wchan:20=,args= | cut -c -200
  while read -r file; do
    [[ ! -s $file ]] || printf '%s:\n%s\n' "$file" "$(tail -n "$IT_LOOK_LINES" "$file")"
  done < <(find "$IT_DIR"/{log,submit,nodes/*/lib/logs} -maxdepth 1 \( -name '*.log' -o -name '*.out' \) -mmin -5)
} 2>/dev/null

it_nodes_are_fine() {
  local bad
  bad=$(sinfo -h -N -o '%N %T %E' | grep -iE ' (down|drain|fail|error|unknown)' || :)
  [[ -z $bad ]] || {
    echo "a node is unwell: $bad" >&2
    return 1
  }
}

# it_file NAME: write stdin to a file of the test user's, print its path.
it_file() {
  local path=$IT_SUBMIT/$1
  cat >"$path"
  chmod 644 "$path"
  echo "$path"
}

# it_examples: the project's examples, where the test user works.
it_examples() {
  cp -r --no-preserve=ownership "$BATS_TEST_DIRNAME"/../../examples/. "$IT_SUBMIT"
  chmod -R u=rwX,go=rX "$IT_SUBMIT"
}

# it_forging_slurm: a configuration of a user's own, whose plugin says to the prolog of
# sbatch's job what FORGE holds, a digest, and FORGE_REQUEST; FORGED is its slurm.conf.
it_forging_slurm() {
  FORGED=$IT_SUBMIT/forged.conf
  cat >"$IT_SUBMIT/forge.c" <<'C'
#include <slurm/spank.h>
#include <stdlib.h>
SPANK_PLUGIN(forge, 1)
int slurm_spank_init_post_opt(spank_t sp, int ac, char **av)
{
	if (getenv("FORGE") && spank_context() == S_CTX_ALLOCATOR)
		spank_job_control_setenv(sp, "AQ_DIGEST", getenv("FORGE"), 1);
	if (getenv("FORGE_REQUEST") && spank_context() == S_CTX_ALLOCATOR)
		spank_job_control_setenv(sp, "AQ_PREFETCH", getenv("FORGE_REQUEST"), 1);
	return ac < 0 && !av;
}
C
  gcc -shared -fPIC -I"$CLUSTER_SLURM/include" -o "$IT_SUBMIT/forge.so" "$IT_SUBMIT/forge.c"
  echo "required $IT_SUBMIT/forge.so" >"$IT_SUBMIT/forged.plugstack"
  sed "s|^PlugStackConfig=.*|PlugStackConfig=$IT_SUBMIT/forged.plugstack|" "$IT_DIR/etc/slurm.conf" >"$FORGED"
}

# it_forget: empty every node's cache, as on a new machine, once its jobs'
# epilogs are through.
it_forget() {
  local node
  it_begin
  for node in "${IT_DIR:?}"/nodes/*; do
    it_end_compiling "${node##*/}"
    wait_while "$IT_BEHIND_SECONDS" it_has_workers "${node##*/}"
    rm -rf "${node:?}/lib" "$node/run" "$node/run-public"
  done
}

# it_rules JSON: what the server reads for each request, at once.
it_rules() {
  echo "$1" >"$IT_DIR/rules.new"
  mv "$IT_DIR/rules.new" "$IT_DIR/rules"
}

# it_serve DIR: serve it as a channel, by what IT_DIR/rules says, a line in IT_DIR/requests
# for each request, until it_down; SERVER and PORT.
it_serve() {
  it_rules '{}'
  : >"$IT_DIR/requests"
  rm -f "$IT_DIR/port" # of one that was served before
  "$AQ_LIB/serve-channel" "$1" "$IT_DIR/rules" "$IT_DIR/requests" \
    >"$IT_DIR/port" 2>/dev/null 3>&- &
  SERVER=$!
  echo "$SERVER" >"$IT_DIR/server" # a test's own variables end with it
  wait_until 10 test -s "$IT_DIR/port"
  PORT=$(<"$IT_DIR/port")
  export SERVER PORT
}

# it_cache NODE: that node's cache_dir.
it_cache() { echo "$IT_DIR/nodes/$1/lib"; }

# it_wheels: WHEELS, a directory of the file's own wheels that builds find.
it_wheels() {
  WHEELS=$IT_DIR/wheels
  export WHEELS
  mkdir -m 755 "$WHEELS"
  echo "find_links = ${AQ_CHANNEL#file://}/wheels $WHEELS" >>"$IT_DIR/etc/aq.conf"
}

# it_wheel NAME VERSION OPTION...: one of them, see tests/lib/make-wheel.
it_wheel() { "$AQ_LIB/make-wheel" "$WHEELS" "$@" >/dev/null; }

# it_drop_row NODE NAME: the cache's database forgets the environment, whose
# files and manifest stay.
it_drop_row() {
  python3 - "$(it_cache "$1")/cache.db" "$2" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA foreign_keys=on")
db.execute("DELETE FROM environments WHERE name=?", (sys.argv[2],))
db.commit()
PY
}

# it_limits LINE...: collecting's limits in aq.conf, until others are set.
it_limits() {
  sed -i '/^\(max_size\|min_free\|max_age\|grace\|user_quota\) /d' "$IT_DIR/etc/aq.conf"
  printf '%s\n' "$@" >>"$IT_DIR/etc/aq.conf"
}

# it_restore FROM TO: as it was.  At once: a job's epilog, which may still be to
# come, would find a half.
it_restore() {
  cp -p "$1" "$2.new"
  mv "$2.new" "$2"
}

# it_gc NODE OPTION...: collect there once nobody builds, and after the one that an epilog
# has started: a builder that still makes byte-code uses what it built.
it_gc() {
  wait_while "$IT_BEHIND_SECONDS" it_has_workers "$1"
  it_gc_beside "$@"
}

# it_gc_beside NODE OPTION...: the same while somebody builds.
it_gc_beside() {
  local node=$1 output
  shift
  while :; do
    output=$(aq --node "$node" gc "$@" 2>&1) || {
      echo "$output" >&2
      return 1
    }
    [[ $output == *"somebody collects already"* ]] || break
    sleep 0.05
  done
  echo "$output"
}

# it_leases NODE ...: leases.py for a node.
it_leases() { python3 "$BATS_TEST_DIRNAME/leases.py" "$IT_DIR/nodes/$1/run" "${@:2}"; }

# it_refs NODE CONDITION: how many references of the node fulfil the SQL.
it_refs() { it_leases "$1" "count(*)" "$2"; }

it_has_no_refs() { [[ $(it_refs "$1" "$2") -eq 0 ]]; }

# it_holds NODE NAME: whether a reference holds the environment.
it_holds() { [[ $(it_refs "$1" "env = '$2'") -gt 0 ]]; }

# it_held NODE JOB: the environment that a step of the job holds.
it_held() { it_leases "$1" env "job = $2 AND env != ''" | head -n 1; }

# it_slurmd NODE: the pid of its slurmd.
it_slurmd() { pgrep -f "^[^ ]*slurmd -N $1\$"; }

# it_kill_node NODE SIGNAL: its slurmd, not what that started.
it_kill_node() {
  local pid
  pid=$(it_slurmd "$1")
  kill "-$2" "$pid"
  wait_while 30 kill -0 "$pid"
}

# it_start_node NODE: its slurmd, once it answers.
it_start_node() {
  cluster_start_node "$IT_DIR" "$1" 3>&-
  wait_until 30 it_node_answers "$1"
}
it_node_answers() { [[ -n $(it_slurmd "$1") ]] && ! sinfo -h -n "$1" -o %T | grep -q '\*'; }

# it_forget_failures NODE: as if their time were over.
it_forget_failures() {
  python3 - "$(it_cache "$1")/cache.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("DELETE FROM failures")
db.commit()
PY
}

# it_number NAME: that member of the JSON object on stdin.
it_number() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# it_small: a request that takes a second to build, as a file's path.
it_small() {
  it_file small.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo]}'
}

# it_key_files NODE: what lies in the node's memory for single keys.
it_key_files() { (cd "$IT_DIR/nodes/$1" && find run/locks run-public/builds -name 'key-*' -o -name 'wait-*' -o -name 'want-*' -o -name 'lock-*' -o -path 'run-public/builds/*'); }

# it_attempts NODE: how often a client was asked to resolve there since
# it_forget.
it_attempts() { it_calls "$1" | grep -c "^solve " || :; }

# it_calls NODE: what its client was asked, a call a line.
it_calls() { cat "$IT_DIR/nodes/$1/lib/work/home/attempts" 2>/dev/null || :; }

# it_builds NODE: how many environments are there.
it_builds() {
  find "$(it_cache "$1")/envs" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}

# it_is_clean NODE: nothing half-built, no builder and nothing that it started.
it_is_clean() {
  ! it_has_workers "$1" && [[ -z $(it_half_built "$1") ]]
}

# it_half_built NODE: what lies in work/envs but the places of bases, which are
# empty and have the name of an environment.
it_half_built() {
  local entry
  for entry in "$(it_cache "$1")"/work/envs/*; do
    [[ ! -e $entry || (-d $(it_cache "$1")/envs/${entry##*/} && -z $(ls -A "$entry")) ]] ||
      echo "$entry"
  done
}

# it_builders NODE: the pids of the supervising aq-builders that work for the
# node, not those that they forked.
it_builders() {
  local pid parent
  for pid in $(pgrep -f -- "^[^ ]*aq-builder .*$IT_DIR/etc/aq.conf .*--node $1( |\$)"); do
    parent=$(ps -o ppid= -p "$pid") || continue # it is gone
    [[ $(ps -o comm= -p "${parent// /}") == aq-builder ]] || echo "$pid"
  done
}

# it_end_compiling NODE: kill those that do what goes on once a job has its answer,
# for what is to be removed anyway.
it_end_compiling() {
  local pid
  for pid in $(it_builders "$1"); do
    [[ $(ps -o ni= -p "$pid") -lt $IT_BEHIND_NICE ]] || kill -KILL "$pid" 2>/dev/null || :
  done
}

# it_watchers: the pids of what tasks wait with.
it_watchers() { pgrep -u "$AQ_TEST_USER" -x aq-watch; }

# it_stepds STEP: the pids of slurmstepd's of that step (a regular expression).
it_stepds() { pgrep -f "^slurmstepd: \\[$1\\]"; }

# it_has_workers NODE: whether there is a builder, or anything that one of
# them started: both accounts do nothing but build.  Clusters share them, so
# it is the path of the node's cache or our own client that tells.
it_has_workers() {
  [[ -z $(it_builders "$1") ]] || return 0
  pgrep -f -u "$AQ_BUILDER_USER,$AQ_PROBE_USER" -- "$IT_DIR/" >/dev/null
}

# -- the client, which counts and can be stopped at a gate --

# it_client PATH: print a wrapper of the client at PATH.  It has the client's
# name, notes each call in its HOME, and waits before or after a verb
# for as long as IT_DIR/gate says so; HOME/fails-to-VERB has it fail.  What the
# mambas and conda are asked to `create` is called solve, fetch or link, as it is;
# what the bundled client does because it stayed is a call, too, and a run of its own.
it_client() {
  local wrapper=$IT_DIR/client/${1##*/}
  mkdir -p "$IT_DIR/client"
  # no shell script: where link scripts could run there is no shell
  cat >"$wrapper" <<PY
#!/usr/bin/python3 -I
import contextlib, os, subprocess, sys, time

def gate():
    try:
        with open("$IT_DIR/gate") as f:
            return f.read().strip()
    except FileNotFoundError:
        return None

def note(text): # a HOME that it has: not doctor, which asks for its version
    with contextlib.suppress(KeyError, OSError), open(os.environ["HOME"] + "/attempts", "a") as f:
        f.write(text + "\\n")

def stop_at(where):
    if gate() == where:
        note(where)
    while gate() == where:
        time.sleep(0.02)

verb = sys.argv[1]
if "${1##*/}" in ("micromamba", "mamba", "conda") and verb == "create":
    verb = "solve" if "--dry-run" in sys.argv else "fetch" if "--download-only" in sys.argv else "link"

def call(verb, arguments, **how):
    note(" ".join([verb, *arguments[1:]]))
    stop_at("before " + verb)
    if os.path.exists(os.environ.get("HOME", "") + "/fails-to-" + verb):
        sys.exit("it fails, as the test has it")
    status = subprocess.run(["$1", *arguments], **how).returncode
    stop_at("after " + verb)
    if status:
        sys.exit(status if status > 0 else 128 - status)

stays = "--stay" in sys.argv
call(verb, [a for a in sys.argv[1:] if a != "--stay"])
if stays:
    print("stays", flush=True)
    name = sys.stdin.read()
    if not name:
        stop_at("at end")
        sys.exit()
    with open(name, encoding="utf-8") as f:
        arguments, _, given = f.read().partition("\n\n")
    arguments = arguments.split("\n")
    call(arguments[0], arguments, input=given.encode())
PY
  chmod 755 "$IT_DIR/client" "$wrapper"
  echo "$wrapper"
}

# it_stand_in NAME: print the path of the stand-in for that client, which its tests are
# of (tests/clients/stand-in).
it_stand_in() {
  local tools path=$IT_DIR/stand-ins/$1
  tools=$("$AQ_LIB/get-tools")
  mkdir -p "$IT_DIR/stand-ins"
  # no shell script: where packages are linked there is no shell
  cat >"$path" <<PY
#!$tools/bin/python -I
import runpy, sys
stand_in = "$(readlink -f "$BATS_TEST_DIRNAME/../clients/stand-in")"
sys.argv[:1] = [stand_in, "$1", "$IT_INSTALL/libexec/slurm-aq/aq-rattler"]
runpy.run_path(stand_in, run_name="__main__")
PY
  chmod 755 "$IT_DIR/stand-ins" "$path"
  echo "$path"
}

# it_client_is NAME: it is the one that AQ_IT_CLIENT is, if it has that name, else its stand-in.
it_client_is() { [[ ${AQ_IT_CLIENT-} == *"$1" ]] || echo "client = $(it_stand_in "$1")" >>"$AQ_CONF"; }

# it_has_bundled: from now on aq-rattler is installed where Python has what it needs;
# it_has_no_bundled: no more.
it_has_bundled() {
  local installed=$IT_INSTALL/libexec/slurm-aq/aq-rattler
  sed "1s|.*|#!$("$AQ_LIB/get-tools")/bin/python -I|" "$installed" >"$IT_DIR/aq-rattler"
  chmod 755 "$IT_DIR/aq-rattler"
  mount --bind "$IT_DIR/aq-rattler" "$installed"
}
it_has_no_bundled() { umount -q "$IT_INSTALL/libexec/slurm-aq/aq-rattler" || :; }

# it_gate before|after solve|link: close the gate there; it_open: open it;
# it_is_at_gate: whether a client waits there.
it_gate() {
  echo "$*" >"$IT_DIR/gate"
  chmod 644 "$IT_DIR/gate"
}

it_open() { rm -f "$IT_DIR/gate"; }

it_is_at_gate() {
  cat "$IT_DIR"/nodes/*/lib/work/{,alone/*/}home/attempts 2>/dev/null | grep -qxFf "$IT_DIR/gate"
}

# -- the cage, and without it --

# it_uncaged COMMAND...: run it where a builder without a cage is in place of ours.
it_uncaged() { uncaged "$IT_INSTALL" "$@"; }

# it_unsealed COMMAND...: where one that refuses nothing that packages bring is.
it_unsealed() { unsealed "$IT_INSTALL" "$@"; }

# it_without CALLS COMMAND...: run it where these system calls fail, see
# tests/it/without-calls.c.
it_without() { "$IT_INSTALL/tests/without-calls" "$@"; }

# it_submit ARGUMENT...: sbatch as the test user; prints the job's id.
it_submit() { as_user sbatch --parsable --output="$IT_SUBMIT/%A_%a.out" "$@"; }

# it_job_is STATE JOB: whether the job (every task of its array) has it.
it_job_is() {
  local states
  states=$(scontrol -o show job "$2" | grep -o 'JobState=[A-Z_]*') || return
  ! grep -qv "JobState=$1$" <<<"$states"
}

it_job_is_over() {
  ! scontrol -o show job "$1" | grep -qE 'JobState=(PENDING|RUNNING|CONFIGURING|COMPLETING|SUSPENDED)'
}

# it_wait JOB [SECONDS]: until the job, or all of its array, is over.
it_wait() { wait_until "${2:-$IT_JOB_SECONDS}" it_job_is_over "$1"; }

# assert_contains TEXT PART / refute_contains: fixed strings, with a message.
assert_contains() {
  [[ $1 == *"$2"* ]] || {
    printf 'expected to find: %s\nin: %s\n' "$2" "$1" >&2
    return 1
  }
}

refute_contains() {
  [[ $1 != *"$2"* ]] || {
    printf 'did not expect: %s\nin: %s\n' "$2" "$1" >&2
    return 1
  }
}

assert_equal() {
  [[ $1 == "$2" ]] || {
    printf 'expected: %s\nbut got:  %s\n' "$2" "$1" >&2
    return 1
  }
}
