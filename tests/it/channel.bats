#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A channel whose network is bad: what is asked for comes, or it is said what is wrong and
# where, and nobody else, and no later request, is the worse for it.
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

load lib

readonly PACKAGES=12 # at least one of which each tenth answer hits

setup_file() {
  it_up
  SERVED=$IT_DIR/served
  mkdir -m 755 "$SERVED"
  for i in $(seq "$PACKAGES"); do
    "$AQ_LIB/make-package" "$SERVED" "part-$i" 1.0 --file "share/part-$i=part" >/dev/null
  done
  it_serve "$SERVED"
  echo "channels = conda-forge=$AQ_CHANNEL own=http://127.0.0.1:$PORT" >>"$AQ_CONF"
  cp -p "$AQ_CONF" "$IT_DIR/aq.conf.as-it-was"
  MANY=$(it_file many.yaml <<<"{channels: [own], dependencies: [$(seq -s, -f 'part-%.0f' "$PACKAGES")]}")
  ONE=$(it_file one.yaml <<<'{channels: [own], dependencies: [part-1]}')
  export MANY ONE SERVED
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_forget
  cp -p "$IT_DIR/aq.conf.as-it-was" "$AQ_CONF"
  : >"$IT_DIR/requests"
}
teardown() {
  network '{}'
  it_end
}

# network RULE: that of the channel from now on.
network() { it_rules "{\"127.0.0.1\": $1}"; }

parts() { as_user srun --aq-requirements="$MANY" sh -c "ls \$AQ_ENV_PREFIX/share | grep -c part-"; }

@test "each tenth answer ends half-way: what is asked for comes whole" {
  network '{"drop": 10}'
  run -0 --separate-stderr parts
  assert_equal "$output" "$PACKAGES"
  network '{}'
  run -0 aq --node n1 verify --contents
}

@test "every answer ends half-way: it is said what was being fetched, and asked for again later" {
  network '{"drop": 1}'
  run -125 --separate-stderr parts
  [[ $stderr == *"127.0.0.1:$PORT/"*"/repodata.json"* ]]
  refute_contains "$stderr" Traceback
  # an array's other tasks are told what the first was, and not asked to wait
  network '{}'
  run -125 --separate-stderr parts
  assert_contains "$stderr" "tried again in"
  [[ $stderr == *"127.0.0.1:$PORT/"*"/repodata.json"* ]]
  run -0 --separate-stderr as_user srun --aq-refresh --aq-requirements="$MANY" true
  run -0 --separate-stderr parts
  assert_equal "$output" "$PACKAGES"
}

@test "a slow channel is waited for, by all who ask, and a build has an end" {
  network '{"rate": 2000}'
  as_user srun --aq-requirements="$MANY" true 2>"$IT_DIR/first.err" 3>&- &
  run -0 --separate-stderr parts
  assert_equal "$output" "$PACKAGES"
  wait $!
  assert_equal "$(it_attempts n1)" 1
}

@test "a slow channel and build_timeout: who waited is told so, and the next is not refused for it" {
  echo 'build_timeout = 3' >>"$AQ_CONF"
  network '{"rate": 20}'
  run -125 --separate-stderr parts
  assert_contains "$stderr" "build_timeout"
  network '{}'
  run -0 --separate-stderr parts
  assert_equal "$output" "$PACKAGES"
}

@test "a channel that never answers: the build's end is said, what is there is used" {
  as_user srun --aq-requirements="$ONE" true
  echo 'build_timeout = 3' >>"$AQ_CONF"
  network '{"silent": true}'
  run -125 --separate-stderr parts
  assert_contains "$stderr" "build_timeout"
  run -0 --separate-stderr as_user srun --aq-requirements="$ONE" printenv AQ_RESOLUTION
  assert_equal "$output" reused
}

@test "a channel that is down: it is named, what is there is used, the next request asks again" {
  local server
  as_user srun --aq-requirements="$ONE" true
  rm -rf "$(it_cache n1)"/work/pkgs/repodata
  server=$(<"$IT_DIR/server")
  kill "$server"
  wait_while 10 kill -0 "$server"
  run -125 --separate-stderr parts
  assert_contains "$stderr" "127.0.0.1:$PORT"
  refute_contains "$stderr" Traceback
  run -0 --separate-stderr as_user srun --aq-requirements="$ONE" printenv AQ_RESOLUTION
  assert_equal "$output" reused
  # what lies unpacked is linked again without it
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  rm "$(it_cache n1)"/envs/*/share/part-1
  run -3 aq --node n1 verify
  it_begin # nothing uses it any more
  run -0 aq --node n1 verify --repair
  run -0 aq --node n1 verify
  [[ $(cat "$(it_cache n1)"/envs/*/share/part-1) == part ]]
  it_serve "$SERVED"
  it_forget_failures n1
  sed -i "s,own=http://127.0.0.1:[0-9]*,own=http://127.0.0.1:$PORT," "$AQ_CONF"
  run -0 --separate-stderr parts
  assert_equal "$output" "$PACKAGES"
}
