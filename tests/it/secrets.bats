#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2030,SC2031,SC2154 # each test is a subshell; bats sets stderr
# Private channels and indexes: builds get in, and what they need for it is seen
# by the program that fetches and by nobody else.

load lib

# The hosts are one server's (tests/lib/serve-channel); each is asked for something
# else.  These words are in no other file than those of this test.
readonly USER_NAME=anna PASSWORD='hush-9x!%40z' TOKEN=tok-hush-7q31
readonly CHANNEL_HOST=127.0.0.1 INDEX_HOST=127.0.0.6 TOKEN_HOST=127.0.0.4
readonly AWAY_HOST=127.0.0.5 OPEN_HOST=127.0.0.3

setup_file() {
  it_up
  local channel=${AQ_CHANNEL#file://}
  SERVED=$IT_DIR/served
  mkdir -p "$SERVED/wheels"
  ln -s "$channel/linux-64" "$channel/noarch" "$SERVED/"
  cp "$channel"/wheels/certifi-*.whl "$SERVED/wheels/"
  # what runs as soon as an interpreter with it does: it says who it was and
  # what it could read, and builds log that
  "$AQ_LIB/make-wheel" "$SERVED/wheels" spy 1.0 \
    --file 'spy.pth=import spy' --file "spy.py=$(spy)" >/dev/null
  "$AQ_LIB/make-wheel" "$SERVED/wheels" inner 1.0 >/dev/null
  it_serve "$SERVED"
  cp -p "$AQ_CONF" "$IT_DIR/aq.conf.as-it-was"
  export SERVED
}

teardown_file() { it_down; }

setup() {
  it_begin
  it_forget
  cp -p "$IT_DIR/aq.conf.as-it-was" "$AQ_CONF"
  cat >>"$AQ_CONF" <<CONF
channels = private=http://$CHANNEL_HOST:$PORT token=http://$TOKEN_HOST:$PORT away=http://$AWAY_HOST:$PORT
pip_index = http://$INDEX_HOST:$PORT/simple
find_links =
credentials = $IT_DIR/etc/aq.credentials
CONF
  let_in
  rules "$PASSWORD"
  : >"$IT_DIR/requests"
}

teardown() {
  it_open
  it_end
  # of every test: who must not know does not
  nobody_knows
}

spy() {
  cat <<'PY'
import os, pathlib, sys
def _note():
    seen = [f"uid {os.getuid()}"] + [f"{k}={v}" for k, v in os.environ.items()]
    cache = pathlib.Path(__file__).parents[6]
    for place in cache.glob("secrets/*"):
        try:
            seen.append(place.read_text())
        except OSError as e:
            seen.append(str(e))
    print(*(f"spied {line}" for line in seen), sep="\n", file=sys.stderr)
try:
    _note()
except OSError:
    pass
PY
}

# let_in [PASSWORD]: what the administrator's file says.
let_in() {
  rm -f "$IT_DIR/etc/aq.credentials"
  (
    umask 077
    cat >"$IT_DIR/etc/aq.credentials"
  ) <<NETRC
# of the tests
machine $CHANNEL_HOST login $USER_NAME password ${1-$PASSWORD}
machine $INDEX_HOST login $USER_NAME password ${1-$PASSWORD}
machine $AWAY_HOST login $USER_NAME password ${1-$PASSWORD}
machine $TOKEN_HOST account bearer password $TOKEN
machine elsewhere.example login $USER_NAME password ${1-$PASSWORD}
NETRC
}

# rules PASSWORD: what the server wants from now on.
rules() {
  it_rules "$(printf '{"%s": {"basic": "%s"}, "%s": {"basic": "%s"}, "%s": {"bearer": "%s"}, "%s": {"basic": "%s", "redirect": "http://%s"}}' \
    "$CHANNEL_HOST" "$USER_NAME:$1" "$INDEX_HOST" "$USER_NAME:$1" "$TOKEN_HOST" "$TOKEN" \
    "$AWAY_HOST" "$USER_NAME:$PASSWORD" "$OPEN_HOST")"
}

# came HOST KIND: how often the server was asked so.
came() { grep -cE "^$1 [0-9]+ $2 " "$IT_DIR/requests" || :; }

# The secrets in every form that a program could write them in.
forms() {
  printf '%s\n' "$PASSWORD" "$TOKEN" "$(printf %s "$USER_NAME:$PASSWORD" | base64)" 'hush-9x%21%2540z' 'hush-9x!%2540z' 'wrong-hush'
}

# Nowhere on the node, in what users read, or in a log.
nobody_knows() {
  local found
  found=$(grep -rlaFf <(forms) "$IT_DIR/nodes" "$IT_DIR/log" "$IT_DIR/submit" "$IT_DIR/spool" "$IT_DIR/state" || :)
  [[ -z $found ]] || {
    echo "a secret is in: $found" >&2
    return 1
  }
}

# In no process but this test's own and the server's.
no_process_knows() {
  local pid found=
  for pid in /proc/[0-9]*; do
    pid=${pid#/proc/}
    [[ $pid != "${SERVER:?}" && $pid != "$$" && $pid != "$BASHPID" && $pid != "$PPID" ]] || continue
    ! cat "/proc/$pid/cmdline" "/proc/$pid/environ" 2>/dev/null | grep -qaFf <(forms) || found+=" $pid"
  done
  [[ -z $found ]] || {
    echo "in the command line or environment of: $found" >&2
    return 1
  }
}

# lacks OPTION... PATTERN FILE...: grep finds nothing (errexit knows no '!').
lacks() {
  local status=0
  grep "$@" >&2 || status=$?
  [[ $status -ne 0 ]]
}

private() { it_file private.yaml <<<"{channels: [${1-private}], dependencies: [activate-demo]}"; }

with_wheels() { it_file wheels.yaml <<<"{channels: [private], dependencies: [python=3.12, {pip: [$1]}]}"; }

# with_base: of Python 3.12, whose interpreter speaks for others to uv.
with_base() {
  echo '{channels: [private], dependencies: [python=3.12, pip]}' >"$IT_DIR/base.yaml"
  aq --node n1 base add 3.12 --file "$IT_DIR/base.yaml"
}

# spied: what packages' code has said in builds.
spied() { cat "$(it_cache n1)"/logs/*.log | grep '^spied'; }

# fails_by_node FILE TEXT: the task fails, for a reason that is the node's.
fails_by_node() {
  run -125 --separate-stderr as_user srun --aq-requirements="$1" true
  assert_contains "$stderr" "$2"
  assert_equal "$(aq --node n1 stats --json | jq -c '.counts | [.fault > 0, .refused]')" "[true,0]"
}

# at_gate GATE FILE: a job whose client waits there; JOB is its id.
at_gate() {
  # shellcheck disable=SC2086 # two words
  it_gate $1
  JOB=$(it_submit --wrap "srun --aq-requirements=$2 printenv AQ_RESOLUTION")
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
}

# The pid of the client's wrapper, which has what the client has.
client_pid() { pgrep -f -u "$AQ_BUILDER_USER" "$IT_DIR/client/" | head -n 1; }

@test "a private channel and a private index: built, and seen by the client alone" {
  it_needs_bundled "the form its credentials have"
  local pid place
  at_gate "after solve" "$(private)"
  pid=$(client_pid)
  place=/proc/$pid/root$(it_cache n1)/secrets
  # for the client, in its own namespace
  assert_equal "$(stat -c '%a %U' "$place/rattler.json")" "400 $AQ_BUILDER_USER"
  grep -qF "$PASSWORD" "$place/rattler.json"
  # not of other hosts
  lacks -E "elsewhere|$TOKEN_HOST|$INDEX_HOST" "$place/rattler.json"
  # for nobody else
  [[ ! -e $(it_cache n1)/secrets ]]
  assert_equal "$(find "$(it_cache n1)/work/secrets" -mindepth 1)" ""
  lacks aq-secrets /proc/self/mountinfo
  no_process_knows
  nobody_knows
  # nothing below cache_dir runs beside it
  nsenter --mount --root --target "$pid" sh -c "cp /bin/true $(it_cache n1)/tmp/true && ! $(it_cache n1)/tmp/true && rm $(it_cache n1)/tmp/true"
  it_open
  until it_job_is_over "$JOB"; do no_process_knows; done
  grep -qx created "$IT_SUBMIT/${JOB}_"*.out # beside what a build says
  lacks aq-secrets /proc/[0-9]*/mountinfo 2>/dev/null
  with_base
  JOB=$(it_submit --wrap "srun --aq-requirements=$(with_wheels "spy, certifi") printenv AQ_RESOLUTION")
  until it_job_is_over "$JOB"; do no_process_knows; done
  grep -qx inherited "$IT_SUBMIT/${JOB}_"*.out
  [[ $(came "$CHANNEL_HOST" good) -gt 0 && $(came "$INDEX_HOST" good) -gt 0 ]]
  # what runs with the interpreter ran, as nobody who had them, and had nothing
  spied >"$IT_DIR/spied"
  grep -q "^spied uid $(id -u "$AQ_PROBE_USER")" "$IT_DIR/spied"
  lacks -E "uid $(id -u "$AQ_BUILDER_USER")|NETRC|RATTLER_AUTH" "$IT_DIR/spied"
  run -0 --separate-stderr as_user srun --aq-requirements="$(with_wheels "spy, certifi")" python -c 'import certifi, os; print(os.environ["AQ_RESOLUTION"])'
  assert_equal "$output" "reused"
}

@test "what others are told of it has no secret" {
  it_needs_bundled "tokens"
  local file key
  with_base
  file=$(with_wheels certifi)
  as_user srun --aq-requirements="$file" true
  key=$(aq --node n1 list --json | jq -r '.environments[0].name')
  {
    aq --node n1 show "$key" --json
    aq --node n1 show --lock "$key"
    aq --node n1 explain "$file"
    aq --node n1 doctor
    as_user AQ_CONF="$AQ_CONF" aq --node n1 list --shared --json
    cat "$(it_cache n1)"/meta/*/*
    cat "$(it_cache n1)"/envs/*/conda-meta/*
  } >"$IT_SUBMIT/told" 2>&1
  assert_contains "$(cat "$IT_SUBMIT/told")" "http://$CHANNEL_HOST:$PORT/noarch" # it is no empty file
  nobody_knows
}

@test "without a base the environment's own interpreter would install, and gets nothing" {
  fails_by_node "$(with_wheels spy)" "tell the administrator to install uv, and to add a base of this Python"
}

@test "a layer over a base: its interpreter, which runs what packages bring, gets nothing" {
  local file=$IT_DIR/spying.yaml
  with_base
  echo '{channels: [private], dependencies: [python=3.12, {pip: [spy]}]}' >"$file"
  aq --node n1 base add 3.12 --file "$file"
  it_begin
  rm -f "$(it_cache n1)"/logs/*.log
  run -0 --separate-stderr as_user srun --aq-requirements="$(with_wheels inner)" printenv AQ_RESOLUTION
  assert_equal "$output" "inherited"
  spied >"$IT_DIR/spied"
  grep -q "^spied uid $(id -u "$AQ_PROBE_USER")" "$IT_DIR/spied"
  lacks -E "uid $(id -u "$AQ_BUILDER_USER")|NETRC|RATTLER_AUTH" "$IT_DIR/spied"
}

@test "a token" {
  it_needs_bundled "tokens"
  run -0 --separate-stderr as_user srun --aq-requirements="$(private token)" printenv AQ_RESOLUTION
  assert_equal "$output" "created"
  [[ $(came "$TOKEN_HOST" good) -gt 0 ]]
  assert_equal "$(came "$TOKEN_HOST" bad)" 0
}

@test "a redirect to another host does not take the credentials along" {
  run -0 --separate-stderr as_user srun --aq-requirements="$(private away)" printenv AQ_RESOLUTION
  assert_equal "$output" "created"
  [[ $(came "$AWAY_HOST" good) -gt 0 && $(came "$OPEN_HOST" none) -gt 0 ]]
  assert_equal "$(came "$OPEN_HOST" '(good|bad)')" 0
  with_base
  echo "pip_index = http://$AWAY_HOST:$PORT/simple" >>"$AQ_CONF"
  : >"$IT_DIR/requests"
  as_user srun --aq-requirements="$(with_wheels certifi)" true
  [[ $(came "$OPEN_HOST" none) -gt 0 ]]
  assert_equal "$(came "$OPEN_HOST" '(good|bad)')" 0
}

@test "a wrong password is the node's fault, for a while" {
  let_in wrong-hush
  fails_by_node "$(private)" "'$CHANNEL_HOST' refuses the credentials that '$IT_DIR/etc/aq.credentials' has for it: tell the administrator"
  assert_equal "$(it_attempts n1)" 1
  let_in
  fails_by_node "$(private)" "refuses the credentials"
  assert_equal "$(it_attempts n1)" 1
  it_forget_failures n1
  run -0 --separate-stderr as_user srun --aq-requirements="$(private)" true
}

@test "a wrong password of the index is the node's fault too" {
  sed -i "/$INDEX_HOST/s/password .*/password wrong-hush/" "$IT_DIR/etc/aq.credentials"
  fails_by_node "$(with_wheels certifi)" "'$INDEX_HOST' refuses the credentials"
}

@test "a missing entry is named with the host, and so is a file that is not named" {
  sed -i "/$CHANNEL_HOST/d" "$IT_DIR/etc/aq.credentials"
  fails_by_node "$(private)" "'$CHANNEL_HOST' wants credentials, and '$IT_DIR/etc/aq.credentials' has none for it"
  let_in
  sed -i "/$INDEX_HOST/d" "$IT_DIR/etc/aq.credentials"
  fails_by_node "$(with_wheels certifi)" "'$INDEX_HOST' wants credentials"
  it_forget_failures n1
  echo "credentials =" >>"$AQ_CONF"
  fails_by_node "$(private)" "'$CHANNEL_HOST' wants credentials: tell the administrator"
}

@test "revoked between solve and fetch" {
  it_needs_bundled "it fetches as it links"
  at_gate "before link" "$(private)"
  rules revoked-1234
  it_open
  it_wait "$JOB"
  assert_contains "$(cat "$IT_SUBMIT/${JOB}_"*.out)" "refuses the credentials"
  assert_equal "$(it_builds n1)" 0
  wait_until "$IT_BEHIND_SECONDS" it_is_clean n1
}

@test "a killed builder leaves nothing" {
  at_gate "before solve" "$(private)"
  local pid
  for pid in $(it_builders n1); do kill -KILL "$pid"; done
  it_open
  it_wait "$JOB"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  lacks aq-secrets /proc/[0-9]*/mountinfo 2>/dev/null
  assert_equal "$(find "$(it_cache n1)/work/secrets" -mindepth 1)" ""
}

@test "clients that run what packages bring get none, and say who can" {
  it_needs_bundled "it is tried last"
  local name
  mkdir -p "$IT_DIR/others"
  for name in rattler conda; do
    printf '#!/bin/sh\nexit 9\n' >"$IT_DIR/others/$name"
    chmod 755 "$IT_DIR/others" "$IT_DIR/others/$name"
    it_forget
    echo "client = $IT_DIR/others/$name" >>"$AQ_CONF"
    fails_by_node "$(private)" "has credentials for '$CHANNEL_HOST' that this conda client does not get"
  done
  it_forget
  echo "client = $IT_DIR/client/aq-rattler" >>"$AQ_CONF"
  echo "pip_client = pip" >>"$AQ_CONF"
  fails_by_node "$(with_wheels certifi)" "tell the administrator to install uv"
}

@test "micromamba fetches with them and links without (its stand-in)" {
  echo "client = $(it_stand_in micromamba)" >>"$AQ_CONF"
  run -0 --separate-stderr as_user srun --aq-requirements="$(private)" printenv AQ_RESOLUTION ACTIVATE_DEMO
  assert_equal "${lines[0]}" "created"
  [[ $(came "$CHANNEL_HOST" good) -gt 0 ]]
  assert_equal "$(grep -c download-only "$(it_cache n1)/work/home/calls")" 1
  it_forget
  echo "client = $(it_stand_in micromamba)" >>"$AQ_CONF"
  fails_by_node "$(private token)" "that this conda client cannot send, a token"
}

@test "a file that others can read, or that is wrong, is not used" {
  chmod 644 "$IT_DIR/etc/aq.credentials"
  fails_by_node "$(private)" "can be read by others than root: chmod 600"
  let_in
  echo "machine x hush-9x" >>"$IT_DIR/etc/aq.credentials"
  fails_by_node "$(private)" "$IT_DIR/etc/aq.credentials:7: a word is none of"
  refute_contains "$stderr" "hush"
  # a build that asks no such host does not care
  echo "channels = local=$AQ_CHANNEL" >>"$AQ_CONF"
  run -0 --separate-stderr as_user srun --aq-requirements="$(private local)" true
}

# doctor: what it finds of credentials, a line each.
doctor() {
  aq --node n1 doctor --json >"$BATS_TEST_TMPDIR/doctor.json" || [[ $? -eq 3 ]]
  lacks -aFf <(forms) "$BATS_TEST_TMPDIR/doctor.json"
  jq -r '.findings[] | select(.check == "credentials") | "\(.level): \(.text) -> \(.remedy)"' "$BATS_TEST_TMPDIR/doctor.json"
}

@test "aq doctor asks each place with and without, and prints no secret" {
  it_needs_bundled "tokens"
  local found
  echo "channels = private=http://$CHANNEL_HOST:$PORT token=http://$TOKEN_HOST:$PORT open=http://$OPEN_HOST:$PORT" >>"$AQ_CONF"
  sed -i "/$AWAY_HOST/d" "$IT_DIR/etc/aq.credentials"
  found=$(doctor)
  assert_contains "$found" "ok: '$IT_DIR/etc/aq.credentials' is root's alone, with 4 hosts"
  assert_contains "$found" "ok: channel 'private': '$CHANNEL_HOST' takes its credentials (HTTP 200, without 401)"
  assert_contains "$found" "ok: channel 'token': '$TOKEN_HOST' takes its credentials"
  assert_contains "$found" "ok: pip_index 'http://$INDEX_HOST:$PORT/simple': '$INDEX_HOST' takes its credentials"
  assert_contains "$found" "warning: $IT_DIR/etc/aq.credentials:5: no channel, pip_index or find_links lies on 'elsewhere.example'"
  assert_equal "$(grep -cv '^ok' <<<"$found")" 1

  rules revoked-1234
  found=$(doctor)
  assert_contains "$found" "error: channel 'private': '$CHANNEL_HOST' refuses its credentials (HTTP 401) -> mend line 2 of $IT_DIR/etc/aq.credentials"
  rules "$PASSWORD"
  sed -i "/$CHANNEL_HOST/d" "$IT_DIR/etc/aq.credentials"
  found=$(doctor)
  assert_contains "$found" "error: channel 'private': '$CHANNEL_HOST' wants credentials (HTTP 401), and there are none for it -> write 'machine $CHANNEL_HOST login USER password SECRET' to $IT_DIR/etc/aq.credentials"
  let_in
  echo '{}' >"$IT_DIR/rules"
  assert_contains "$(doctor)" "warning: channel 'private': '$CHANNEL_HOST' answers the same without its credentials (HTTP 200)"
  rules "$PASSWORD"
  mkdir -p "$IT_DIR/others"
  printf '#!/bin/sh\necho conda 26.9.0\n' >"$IT_DIR/others/conda"
  chmod 755 "$IT_DIR/others" "$IT_DIR/others/conda"
  echo "client = $IT_DIR/others/conda" >>"$AQ_CONF"
  assert_contains "$(doctor)" "error: channel 'private': its client cannot be given credentials: it runs what packages bring -> write 'client = aq-rattler' to aq.conf"
  chmod 640 "$IT_DIR/etc/aq.credentials"
  assert_contains "$(doctor)" "can be read by others than root: chmod 600 it -> mend it"
}

@test "a cache of one's own has no part in it" {
  run -3 --separate-stderr as_user AQ_CONF="$AQ_CONF" HOME="$IT_SUBMIT" aq build "$(private)"
  assert_contains "$stderr" "'$CHANNEL_HOST' wants credentials, which only the builds of nodes have"
  assert_equal "$(came "$CHANNEL_HOST" '(good|bad)')" 0
}

@test "a proxy's password reaches no log and no program of packages" {
  sed -i '/^credentials/d' "$AQ_CONF"
  echo '{}' >"$IT_DIR/rules"
  # what is not there has a proxy's URL in what clients say of it
  echo "proxy = http://$USER_NAME:$TOKEN-proxy@$OPEN_HOST:1" >>"$AQ_CONF"
  run -125 --separate-stderr as_user srun --aq-requirements="$(private)" true
  refute_contains "$stderr" "$TOKEN"
  # the server itself as a proxy
  sed -i '/^proxy/d' "$AQ_CONF"
  echo "proxy = http://$USER_NAME:$TOKEN-proxy@$OPEN_HOST:$PORT" >>"$AQ_CONF"
  with_base
  run -0 --separate-stderr as_user srun --aq-requirements="$(with_wheels spy)" printenv AQ_RESOLUTION
  assert_equal "$output" "inherited"
  spied >"$IT_DIR/spied"
  grep -q "^spied uid" "$IT_DIR/spied"
  lacks -i "proxy" "$IT_DIR/spied"
}
