# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Four nodes with a shared_dir and a channel of their own, for tests of what they share.
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

# How much of what takes long is tried.
# shellcheck disable=SC2034 # of the files that load this
readonly SOME=${AQ_COUNT_SHARED:-1}

setup_file() {
  it_up --nodes 4
  SHARED=$IT_DIR/shared SERVED=$IT_DIR/served
  mkdir -m 755 "$SERVED"
  package demo 1.0
  it_serve "$SERVED"
  cat >>"$AQ_CONF" <<CONF
channels = conda-forge=$AQ_CHANNEL own=http://127.0.0.1:$PORT
shared_dir = $SHARED
CONF
  cp -p "$AQ_CONF" "$IT_DIR/aq.conf.as-it-was"
  DEMO=$(it_file demo.yaml <<<'{channels: [own], dependencies: [demo]}')
  export SHARED SERVED DEMO
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_forget
  cp -p "$IT_DIR/aq.conf.as-it-was" "$AQ_CONF"
  rm -rf "$SHARED" "$SERVED" "$IT_DIR"/n?.{err,status}
  mkdir -m 755 "$SERVED"
  install -d -o "$AQ_BUILDER_USER" -m 755 "$SHARED"
  package demo 1.0
  : >"$IT_DIR/requests"
}
teardown() {
  it_open
  [[ ! -e $IT_DIR/stopped ]] || go_on
  umount -l "$SHARED" 2>/dev/null || :
  it_has_no_bundled
  it_end
}

# hangs / go_on: what serves the file system at SHARED does.
hangs() {
  pgrep -f "^bindfs .* $SHARED\$" >"$IT_DIR/stopped"
  kill -STOP "$(<"$IT_DIR/stopped")"
}
go_on() {
  kill -CONT "$(<"$IT_DIR/stopped")" || :
  rm "$IT_DIR/stopped"
}

# package NAME VERSION: from now on the channel has it too.  Clients ask whether its index
# has changed by its time, in seconds.
package() {
  "$AQ_LIB/make-package" "$SERVED" "$1" "$2" --file "share/$1=$2" >/dev/null
  rm -rf "$IT_DIR"/nodes/*/lib/work/pkgs/repodata
}

# build NODE [OPTION]...: DEMO there, what is said in IT_DIR/NODE.err; prints its lock.
build() {
  aq --node "$1" build --json "${@:2}" "$DEMO" 2>"$IT_DIR/$1.err" >"$IT_DIR/$1.json" || {
    cat "$IT_DIR/$1.err" >&2
    return 1
  }
  jq -r .lock "$IT_DIR/$1.json"
}
# has NODE VERSION: that of demo is what NODE's environment has.
has() { assert_equal "$(cat "$(jq -r .prefix "$IT_DIR/$1.json")/share/demo")" "$2"; }

# locks: the generations that are published.
locks() { find "$SHARED/locks" -type f -regex '.*/[0-9a-f]*\.[0-9]*' -printf '%f\n' 2>/dev/null | sed 's/.*\.//' | sort -n | tr '\n' ' '; }
lock_file() { find "$SHARED/locks" -name "*.$1"; }
archives() { find "$SHARED/packages" -type f -name '*.tar.bz2'; }
# nothing_left: no claim, no half of a file.
nothing_left() { [[ -z $(find "$SHARED" -name '*claim*' -o -name 'new-*') ]]; }

# start NODE [OPTION]...: build there meanwhile.
start() {
  {
    local status=0
    build "$@" >/dev/null || status=$?
    echo "$status" >"$IT_DIR/$1.status"
  } 3>&- &
}
# finish NODE: it succeeds; prints its lock.
finish() {
  wait_until "$IT_JOB_SECONDS" test -e "$IT_DIR/$1.status"
  assert_equal "$(<"$IT_DIR/$1.status")" 0
  rm "$IT_DIR/$1.status"
  jq -r .lock "$IT_DIR/$1.json"
}
has_builders() { [[ -n $(it_builders "$1") ]]; }
waits_for() { grep -q "waiting: node $2 does this for all" "$IT_DIR/$1.err"; }
solves() { cat "$IT_DIR"/nodes/*/lib/work/home/attempts | grep -c '^solve '; }

# three_of_which_one_is_killed VERB: n2 and n3 wait for n1, whose builder is killed before
# its client does VERB; the gate stays closed.
three_of_which_one_is_killed() {
  it_gate before "$1"
  start n1
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  start n2
  start n3
  wait_until "$IT_JOB_SECONDS" waits_for n2 n1
  wait_until "$IT_JOB_SECONDS" waits_for n3 n1
  # of what resolves who holds the claim first, so that it is left, and others see that it
  # does not change; else it goes with its builder
  # shellcheck disable=SC2046 # pids
  [[ $1 != solve ]] || kill -KILL $(pgrep -u "$AQ_BUILDER_USER" -f -- "aq-builder .*$IT_DIR/etc/aq.conf .*--node n1")
  # shellcheck disable=SC2046 # pids
  kill -KILL $(it_builders n1)
}
