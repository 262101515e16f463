#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The other clients' dialects, against a stand-in that takes the documented part
# of their command lines (tests/clients/stand-in says what it is and is not).
# shellcheck disable=SC2154 # bats sets stderr

load lib
setup_file() { it_up; }
teardown_file() { it_down; }
setup() {
  it_begin
  it_forget
}
teardown() { it_end; }

# be NAME: from now on aq.conf's client is the stand-in as NAME.
be() { echo "client = $(it_stand_in "$1")" >>"$IT_DIR/etc/aq.conf"; }

calls() { cat "$(it_cache n1)/work/home/calls"; }

# client_builds NAME CALLS: resolve, link, reuse, refuse; so many calls until it is
# linked can be read in the home of clients.
client_builds() {
  local file
  be "$1"
  file=$(it_small)
  run -0 --separate-stderr as_user srun --aq-requirements="$file" printenv AQ_RESOLUTION ACTIVATE_DEMO
  assert_equal "${lines[0]}" "created"
  assert_contains "$stderr" "resolving with $1"
  run -0 --separate-stderr as_user srun --aq-requirements="$file" printenv AQ_RESOLUTION
  assert_equal "$output" "reused"
  assert_equal "$(calls | wc -l)" "$2"

  file=$(it_file impossible.yaml <<<'{channels: [conda-forge], dependencies: [numpy=1.99]}')
  run -125 --separate-stderr as_user srun --aq-requirements="$file" true
  assert_contains "$stderr" "1.99"
  run -125 --separate-stderr as_user srun --aq-requirements="$file" true
  assert_contains "$stderr" "1.99"
  # the request's, not the node's
  run -1 aq --node n1 build "$file"
  assert_equal "$(calls | wc -l)" $(($2 + 1))
}

@test "micromamba resolves, links and refuses" { client_builds micromamba 3; }
@test "mamba resolves, links and refuses" { client_builds mamba 3; }
# it links in a place of its own, home and all
@test "conda resolves, links and refuses" { client_builds conda 1; }

@test "each says what the node has, and is told what it has not" {
  local client file
  "$AQ_LIB/make-package" "$IT_DIR/own" needy 1.0 --depends __archspec --depends '__cuda >=12' >/dev/null
  echo "channels = conda-forge=$AQ_CHANNEL own=file://$IT_DIR/own" >>"$AQ_CONF"
  file=$(it_file needy.yaml <<<'{channels: [own], dependencies: [needy]}')
  for client in micromamba mamba conda; do
    it_forget
    be "$client"
    sed -i '/^virtual_packages/d' "$AQ_CONF"
    run ! aq --node n1 build "$file"
    echo "virtual_packages = __cuda=12.4" >>"$AQ_CONF"
    run -0 aq --node n1 build --refresh "$file"
    run -0 cat "$IT_DIR/nodes/n1/run/host"
    assert_contains "${lines[0]}" "asked"
    assert_contains "$output" $'\n'"__archspec 1 "
    assert_contains "$output" $'\n'"__cuda 12.4 0"
    run -0 aq --node n1 build --json "$file"
    assert_equal "$(jq -r .resolution <<<"$output")" reused
  done
  sed -i '/^virtual_packages/d' "$AQ_CONF"
}

# what conda and the mambas record, byte-code that they did not make
@test "a package for any Python: its byte-code is made, and its files are found" {
  local client file prefix
  file=$(it_file noarch.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, idna]}')
  for client in micromamba conda; do
    it_forget
    be "$client"
    prefix=$(as_user srun --aq-requirements="$file" printenv AQ_ENV_PREFIX)
    wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
    [[ -e $prefix/lib/python3.9/site-packages/idna/__pycache__/core.cpython-39.pyc ]]
    run -0 aq --node n1 verify --contents
  done
}

@test "a link script is refused by name by whoever would run it, or would not" {
  local client file
  file=$(it_file script.yaml <<<'{channels: [conda-forge], dependencies: [postlink-demo]}')
  for client in micromamba conda; do
    it_forget
    be "$client"
    run -125 --separate-stderr as_user srun --aq-requirements="$file" true
    assert_contains "$stderr" "package 'postlink-demo' has a link script"
  done
}

@test "a mamba's packages are where all clients look for them" {
  local pkgs place theirs
  pkgs=$(it_cache n1)/work/pkgs
  be micromamba
  run -0 --separate-stderr as_user srun --aq-requirements="$(it_small)" true
  refute_contains "$stderr" "is not used"
  assert_equal "$(stat -c %U "$pkgs/activate-demo-1.0-0")" root
  # one that has been used otherwise has its own place for them: slower, no less right
  place=$pkgs/file${AQ_CHANNEL#file://}
  for theirs in "$place/noarch" "$place"; do
    it_forget
    be micromamba
    install -d -m 711 "$(it_cache n1)/work"
    install -d -o "$AQ_BUILDER_USER" -g "$AQ_BUILDER_USER" "$pkgs" "$theirs"
    run -0 --separate-stderr as_user srun --aq-requirements="$(it_small)" printenv AQ_RESOLUTION
    assert_equal "$output" created
    assert_contains "$stderr" "the package cache is not used: '${theirs##*/}' in it is in the way"
  done
}

@test "one lock whichever client resolved it" {
  local client locks=
  for client in micromamba conda; do
    it_forget
    be "$client"
    locks+=$(as_user srun --aq-requirements="$(it_small)" printenv AQ_LOCK)$'\n'
  done
  assert_equal "$(sort -u <<<"${locks%$'\n'}" | wc -l)" 1
}

@test "one environment of a lock file whichever client resolves it" {
  local client lock file
  lock=$(as_user srun --aq-requirements="$(it_small)" printenv AQ_LOCK)
  file=$("$IT_INSTALL/bin/aq" --config "$IT_DIR/etc/aq.conf" --node n1 show --lock "${lock:0:20}-1" |
    it_file lock.txt)
  run -0 grep -c '#sha256:' "$file"
  for client in micromamba mamba conda; do
    it_forget
    be "$client"
    run -0 --separate-stderr as_user srun --aq-requirements="$file" printenv AQ_RESOLUTION AQ_LOCK
    assert_equal "$output" $'created\n'"$lock"
  done
}

@test "a client that is not there, or unknown, is named with the key to mend" {
  echo "client = /nowhere/micromamba" >>"$IT_DIR/etc/aq.conf"
  run -125 --separate-stderr as_user srun --aq-requirements="$(it_small)" true
  assert_contains "$stderr" "'/nowhere/micromamba' is not there: see 'client' in aq.conf"
  echo "client = /bin/true" >>"$IT_DIR/etc/aq.conf"
  run -125 --separate-stderr as_user srun --aq-requirements="$(it_small)" true
  assert_contains "$stderr" "is no conda client that is known"
}
