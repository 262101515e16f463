#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # bats sets stderr; programs for other shells
# aq with a real client and a real channel, and no Slurm: as a user in a cache
# of one's own, as root in the node's.

load lib

setup_file() {
  it_alone
  channel=$("$AQ_LIB/get-channel")
  tools=$("$AQ_LIB/get-tools")
  printf '#!/bin/sh\nexec %q -I %q "$@"\n' "$tools/bin/python" \
    "$IT_INSTALL/libexec/slurm-aq/aq-rattler" >"$IT_DIR/bin/aq-rattler"
  chmod 755 "$IT_DIR/bin" "$IT_DIR/bin/aq-rattler"
  cat >"$AQ_CONF" <<CONF
cache_dir = $IT_DIR/lib
run_dir = $IT_DIR/run
builder_user = $AQ_BUILDER_USER
probe_user = $AQ_PROBE_USER
client = ${AQ_IT_CLIENT:-$IT_DIR/bin/aq-rattler}
pip_client = $tools/bin/uv
channels = conda-forge=file://$channel
find_links = $channel/wheels
CONF
  chmod 644 "$AQ_CONF"
  IT_SUBMIT=$IT_DIR/submit
  install -d -o "$AQ_TEST_USER" -g "$AQ_TEST_USER" "$IT_SUBMIT" "$IT_DIR/home"
  it_examples
  export IT_SUBMIT channel tools
}

teardown_file() { it_alone_down; }

# user NAME=VALUE... COMMAND...: as the test user, with a home of the test's
user() { as_user -C "$IT_SUBMIT" HOME="$IT_DIR/home" AQ_CONF="$AQ_CONF" "$@"; }

no_builder_is_left() { ! pgrep -f "aq-builder --config $AQ_CONF" >/dev/null; }

@test "a user runs the example in a cache of their own, built once" {
  run -0 --separate-stderr user aq run req.yaml -- python fn.py
  assert_contains "$output" "accuracy: 0.9"
  assert_contains "$output" "resolution: created"
  assert_contains "$output" "$IT_DIR/home/.cache/slurm-aq/envs/"
  assert_contains "$stderr" "aq: checking"
  run -0 --separate-stderr user aq run req.yaml -- python fn.py
  assert_contains "$output" "resolution: reused"
  [[ -z $stderr ]]
  # nothing else of theirs was touched
  assert_equal "$(cd "$IT_DIR/home" && find . -mindepth 1 -maxdepth 2)" \
    $'./.cache\n./.cache/slurm-aq'
}

@test "root builds in the node's cache, and users may run what is there" {
  run -0 --separate-stderr aq build --json "$IT_SUBMIT/req.yaml"
  prefix=$(jq -r .prefix <<<"$output")
  [[ $prefix == "$IT_DIR"/lib/envs/* ]]
  assert_equal "$(user "$prefix/bin/python" -c 'import sklearn, sys; print(sys.prefix)')" "$prefix"
  # and nobody but root can change what others run
  assert_equal "$(find "$prefix" ! -type l -perm /022 | head -n 3)" ""
  run ! user touch "$prefix/x"
}

@test "what the client says of an impossible request is printed, with the log's place" {
  user tee impossible.yaml >/dev/null <<<'{channels: [conda-forge], dependencies: [python=3.9, numpy=1.99]}'
  run -1 --separate-stderr user aq build impossible.yaml
  assert_contains "$stderr" "numpy"
  log=$(sed -n 's/^aq: log: //p' <<<"$stderr")
  [[ -s $log ]]
  run -125 --separate-stderr user aq run impossible.yaml -- true
}

@test "list and show know the packages that were installed" {
  run -0 user aq show --json req.yaml
  jq -e '.packages | map(.name) | contains(["python", "scikit-learn"])' <<<"$output"
  jq -e '.packages | all(.sha256 | test("^[0-9a-f]{64}$"))' <<<"$output"
  run -0 user aq list --json
  jq -e '.environments[0] | .size_own + .size_shared > 1000000' <<<"$output"
}

@test "a venv that was active is left, and the request's variables come last" {
  user tee demo.yaml >/dev/null <<'YAML'
channels: [conda-forge]
dependencies: [python=3.9, activate-demo]
variables: {OMP_NUM_THREADS: "4"}
YAML
  run -0 --separate-stderr user VIRTUAL_ENV=/opt/v PATH="/opt/v/bin:$PATH" OMP_NUM_THREADS=9 \
    aq run demo.yaml -- bash -c 'echo "${VIRTUAL_ENV-left} $OMP_NUM_THREADS $ACTIVATE_DEMO"
      [[ $PATH == "$AQ_ENV_PREFIX/bin:"* && :$PATH: != *:/opt/v/bin:* ]]'
  [[ $output == "left 4 on:$IT_DIR/home/.cache/slurm-aq/envs/"* ]]
}

@test "an interrupted build ends, leaves nothing that counts, and the next succeeds" {
  user tee other.yaml >/dev/null <<<'{channels: [conda-forge], dependencies: [python=3.12, scikit-learn]}'
  it_alone_idle # byte-code counts
  user aq list --json >"$IT_DIR/before"
  user aq build other.yaml 2>"$IT_DIR/progress" &
  wait_until 60 grep -q installing "$IT_DIR/progress"
  kill "$(pgrep -u "$AQ_TEST_USER" -f '^aq build other.yaml$')"
  wait $! || status=$?
  [[ ${status-0} -ne 0 ]]
  wait_until 10 no_builder_is_left
  assert_equal "$(user aq list --json)" "$(<"$IT_DIR/before")"
  run -0 --separate-stderr user aq run other.yaml -- python -c 'import sklearn, sys; print(sys.version_info[:2])'
  assert_equal "$output" "(3, 12)"
}

@test "two at once build once" {
  user tee twice.yaml >/dev/null <<<'{channels: [conda-forge], dependencies: [python=3.12, prefix-demo]}'
  user aq build --json twice.yaml >"$IT_DIR/one" 2>"$IT_DIR/one.err" &
  run -0 --separate-stderr user aq build --json twice.yaml
  wait $!
  assert_equal "$(jq .prefix <<<"$output")" "$(jq .prefix "$IT_DIR/one")"
  assert_equal "$(printf '%s\n' "$stderr" "$(<"$IT_DIR/one.err")" | grep -c '^aq: created in')" 1
}

@test "a user's own base, a layer over it, and its byte-code" {
  local prefix
  echo '{dependencies: [python=3.9, pip]}' >"$IT_SUBMIT/base.yaml"
  echo '{dependencies: [python=3.9, {pip: [joblib==1.4.2]}]}' >"$IT_SUBMIT/layer.yaml"
  user aq base add 3.9 --file base.yaml
  run -0 --separate-stderr user aq run layer.yaml -- python -c 'import os; print(os.environ["AQ_RESOLUTION"], os.environ["AQ_ENV_PREFIX"])'
  assert_contains "$output" "inherited "
  prefix=${output#inherited }
  wait_until "$IT_BEHIND_SECONDS" test -e "$prefix/lib/python3.9/site-packages/joblib/__pycache__/parallel.cpython-39.pyc"
  run -0 --separate-stderr user aq base list --json
  assert_contains "$output" '"children": 1'
}

# packages FILE: names and versions of its environment, a line each
packages() { user aq show --json "$1" | jq -r '.packages[] | "\(.name) \(.version)"' | sort; }

@test "what freeze writes in an environment builds one with the same versions" {
  user tee mixed.yaml >/dev/null <<<'{channels: [conda-forge], dependencies: [python=3.9, numpy, {pip: [requests, six]}]}'
  user aq build mixed.yaml
  # in it, as a person or a task is
  run -0 --separate-stderr user aq run mixed.yaml -- "$IT_INSTALL/bin/aq" freeze
  [[ -z $stderr ]]
  user tee frozen.yaml >/dev/null <<<"$output"
  assert_contains "$output" "requests=="
  run -0 --separate-stderr user aq check frozen.yaml
  [[ -z $stderr ]]
  user aq build frozen.yaml
  assert_equal "$(packages frozen.yaml)" "$(packages mixed.yaml)"
  # a venv, whose packages pip would have installed
  user python3 -m venv --without-pip "$IT_DIR/home/venv"
  user "$tools/bin/uv" --no-cache --offline pip install -q --no-index --find-links "$channel/wheels" \
    --python "$IT_DIR/home/venv/bin/python" idna certifi
  run -0 --separate-stderr user aq freeze "$IT_DIR/home/venv"
  assert_contains "$output" "idna==3.10"
  assert_contains "$output" "certifi==2024.12.14"
  # the channel's Pythons are not the machine's
  user tee venv.yaml >/dev/null <<<"$output"
  user sed -i 's/python=.*/python=3.9/' venv.yaml
  user aq build venv.yaml
  assert_equal "$(packages venv.yaml | grep -e ^idna -e ^certifi)" $'certifi 2024.12.14\nidna 3.10'
}
