#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The bundled client, once it has resolved, stays to link: one interpreter for both.
# Whatever comes of its build, it ends with it.
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr; tests are subshells

load lib
readonly CLEAN_SECONDS=2

setup_file() {
  it_needs_bundled "no other client stays"
  it_up --nodes 1
  it_file one.yaml <<<'{channels: [conda-forge], dependencies: [activate-demo]}' >/dev/null
  it_file same.yaml <<<'{channels: [conda-forge], dependencies: ["activate-demo>=0"]}' >/dev/null
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_forget
  cp "$IT_DIR/etc/aq.conf" "$IT_DIR/aq.conf.first"
}
teardown() {
  it_open
  cp "$IT_DIR/aq.conf.first" "$IT_DIR/etc/aq.conf"
  it_end
}

# starts_are_noted: the client itself, and in work/home/starts its first word each time.
starts_are_noted() {
  mkdir -p "$IT_DIR/noting"
  printf '#!/usr/bin/python3 -I\nimport os, sys\nwith open(os.environ["HOME"] + "/starts", "a") as f:\n    print(sys.argv[1], file=f)\nos.execv("%s", ["aq-rattler", *sys.argv[1:]])\n' \
    "$IT_DIR/bin/aq-rattler" >"$IT_DIR/noting/aq-rattler"
  chmod 755 "$IT_DIR/noting" "$IT_DIR/noting/aq-rattler"
  echo "client = $IT_DIR/noting/aq-rattler" >>"$IT_DIR/etc/aq.conf"
}
starts() { cat "$(it_cache n1)/work/home/starts" && rm "$(it_cache n1)/work/home/starts"; }

@test "one interpreter resolves and links, unless another program runs between" {
  starts_are_noted
  run -0 --separate-stderr aq --node n1 build "$IT_SUBMIT/one.yaml"
  assert_equal "$(starts)" solve
  run -1 --separate-stderr aq --node n1 build "$(it_file never.yaml <<<'{channels: [conda-forge], dependencies: [aq-never]}')"
  assert_equal "$(starts)" solve
  run -0 --separate-stderr aq --node n1 explain "$IT_SUBMIT/same.yaml"
  assert_equal "$(starts)" solve
  run -0 --separate-stderr aq --node n1 build "$(it_file pip.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip, {pip: [cloudpickle]}]}')"
  assert_equal "$(starts)" $'solve\nlink'
  # what nodes share is fetched first
  it_forget
  install -d -o "$AQ_BUILDER_USER" -m 755 "$IT_DIR/shared"
  it_serve "${AQ_CHANNEL#file://}"
  printf '%s\n' "shared_dir = $IT_DIR/shared" "channels = conda-forge=http://127.0.0.1:$PORT" >>"$IT_DIR/etc/aq.conf"
  run -0 --separate-stderr aq --node n1 build "$(it_file shared.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9]}')"
  assert_equal "$(starts)" $'solve\nfetch\nlink'
}

# builds NAME: in the background; 'builder' is its aq.
builds() {
  aq --node n1 build "$IT_SUBMIT/$1.yaml" >"$BATS_TEST_TMPDIR/$1" 2>&1 3>&- &
  builder=$!
}
has_clients() { [[ $(pgrep -c -u "$AQ_BUILDER_USER" -f -- "$IT_DIR/client/.* --stay") -eq $1 ]]; }
waits_for_lock() { compgen -G "$IT_DIR/nodes/n1/run/locks/want-*"; }

@test "a client that stays ends with a build that is cancelled or killed" {
  local builder
  it_gate before link
  builds one
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  has_clients 1
  kill "$builder"
  wait_until "$CLEAN_SECONDS" has_clients 0
  wait "$builder" || :
  rm "$(it_cache n1)/work/home/attempts"
  builds one
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  has_clients 1
  kill -KILL "$(it_builders n1 | tail -n 1)"
  wait_until "$CLEAN_SECONDS" has_clients 0
  wait "$builder" || :
}

@test "who waits for another's build of the same lock has no client meanwhile" {
  local builder one
  it_gate before link
  builds one
  one=$builder
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  builds same
  wait_until "$IT_JOB_SECONDS" waits_for_lock
  # the one at the gate
  wait_until "$IT_JOB_SECONDS" has_clients 1
  it_gate at end
  wait "$one"
  wait "$builder"
  assert_contains "$(cat "$BATS_TEST_TMPDIR/same")" "nothing new on disk"
  has_clients 0
  wait_while "$CLEAN_SECONDS" it_has_workers n1
  assert_equal "$(it_calls n1 | grep -c '^link ')" 1
}
