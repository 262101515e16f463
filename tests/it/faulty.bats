#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # bats sets stderr
# Builds by a client that fails in ways that no real one can be made to show
# (tests/clients/faulty): each ends with a reason, leaves nothing that could be
# taken for an environment, and the next build succeeds.

load lib

setup_file() { it_node "$BATS_TEST_DIRNAME/../clients/faulty"; }

teardown_file() { it_alone_down; }

setup() {
  it_alone_idle
  rm -rf "${IT_DIR:?}/lib" "${IT_DIR:?}/run" "${IT_DIR:?}/run-public"
}

# build_with FAULT [RUN'S OPTION]
build_with() {
  echo "$1" >"$IT_DIR/bin/FAULT"
  run "${2:--3}" --separate-stderr timeout 60 aq build "$IT_DIR/req.yaml"
}

# Nothing is left that could be taken for an environment, nor anybody.
nothing_is_left() {
  assert_equal "$(find "$IT_DIR/lib/envs" "$IT_DIR/lib/work/envs" "$IT_DIR/lib/meta" -mindepth 1)" ""
  it_alone_idle
}

# A fault is remembered for some seconds; a new cache knows nothing of it.
next_one_builds() {
  rm -rf "$IT_DIR/lib/cache.db"
  build_with none -0
}

# counted: what `aq stats` counts, as {"created":1}
counted() { aq stats --json | jq -c '.counts | with_entries(select(.value > 0))'; }

fails() {
  build_with "$1" "${3:--3}"
  assert_contains "$stderr" "$2"
  nothing_is_left
  [[ $(counted) =~ ^\{\"(fault|refused|ended)\":1\}$ ]]
  next_one_builds
}

@test "a client that does nothing wrong makes an environment" { build_with none -0; }
@test "output that is no JSON" { fails garbage "the client's output is not what it should be"; }
@test "JSON of another shape" { fails wrong-type "a package has no URL"; }
@test "less than what was asked for" { fails nothing "the client resolved no 'x'"; }
@test "a package without a hash" { fails no-hash "a package has no URL, SHA-256"; }
@test "a package with a hash that is none" { fails bad-hash "has no SHA-256"; }
@test "a package whose URL has a newline" { fails newline "the client"; }
@test "a flood of output" { fails flood "over its limit"; }
@test "a flood of errors" { fails flood-errors "over its limit"; }
@test "a client that crashes" { fails killed "exit code 139"; }
@test "a client that breaks half-way through linking" { fails half "it broke half-way"; }
@test "a set-id file is refused" { fails set-uid "which is set-id: refused" -1; }
@test "a fifo is refused" { fails fifo "neither file, directory nor link: refused" -1; }
@test "directories nested without end are refused" { fails deep "nested too deeply: refused" -1; }

@test "what a client leaves running is ended with it" {
  build_with daemon -0
  it_alone_idle
}

@test "a link out of the prefix is only a link" {
  build_with link-out -0
  assert_equal "$(stat -c %U:%a /etc/passwd)" "root:644"
}

@test "only printable text reaches the terminal" {
  build_with escapes -3
  assert_contains "$stderr" "red"
  refute_contains "$stderr" $'\033'
  refute_contains "$stderr" $'\007'
}

@test "a client that hangs is ended after build_timeout, and that is not remembered" {
  echo "build_timeout = 1" >>"$AQ_CONF"
  build_with hang -3
  echo "build_timeout = 100" >>"$AQ_CONF"
  assert_contains "$stderr" "longer than build_timeout"
  assert_equal "$(counted)" '{"ended":1}'
  nothing_is_left
  build_with none -0
}

@test "a network's fault is remembered, but not for long" {
  build_with network -3
  assert_contains "$stderr" "error sending request"
  build_with none -3
  assert_contains "$stderr" "error sending request"
  assert_equal "$(counted)" '{"fault":2}'
  now=$(date +%s)
  sqlite3 "$IT_DIR/lib/cache.db" "UPDATE failures SET since = $now - 31"
  build_with none -0
}
