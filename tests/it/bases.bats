#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bases: added, replaced under what inherits from them, removed, as aq.conf has them.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; programs for other shells

load lib
load inherit

setup_file() {
  it_up
  it_wheels
  it_wheel sklearn-free-plugin 1.0 --file 'sklearn_free_plugin.py=NAME = "plugin"'
  it_file base39.yaml <<'YAML' >/dev/null
channels: [conda-forge]
dependencies:
  - python=3.9
  - pip
  - aq-base
YAML
  it_file base312.yaml <<'YAML' >/dev/null
channels: [conda-forge]
dependencies: [python=3.12, pip, numpy]
YAML
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/base39.yaml"
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

@test "two bases at once, and one replaced under a running job" {
  local file old new job
  aq --node n1 base add 3.12 --file "$IT_SUBMIT/base312.yaml"
  file=$(it_file two.yaml <<<'{dependencies: [python=3.12, {pip: [joblib==1.4.2]}]}')
  build "$file"
  assert_equal "$kind" inherited
  run -0 in_env python -c 'import sys, joblib, numpy; print(sys.version_info[:2])'
  assert_equal "$output" "(3, 12)"
  old=$prefix
  cat >"$IT_SUBMIT/replaced.sh" <<'SH'
#!/bin/bash
touch started
until [[ -e go-on ]]; do sleep 0.05; done
python -c 'import sys, joblib, numpy; print(sys.prefix, numpy.__version__)'
SH
  job=$(cd "$IT_SUBMIT" && as_user -C "$IT_SUBMIT" sbatch --parsable \
    --output="$IT_SUBMIT/replaced.out" --aq-requirements="$file" replaced.sh)
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/started"
  it_file base312.yaml <<<'{channels: [conda-forge], dependencies: [python=3.12, pip, numpy, six]}' >/dev/null
  aq --node n1 base add 3.12 --file "$IT_SUBMIT/base312.yaml"
  build "$file"
  assert_equal "$kind" inherited
  new=$prefix
  [[ $new != "$old" ]]
  aq --node n1 base remove 3.12
  touch "$IT_SUBMIT/go-on"
  it_wait "$job"
  assert_contains "$(<"$IT_SUBMIT/replaced.out")" "$old 2"
}

@test "what is wrong with a base is said" {
  run -1 aq --node n1 base add 3.12 --file "$IT_SUBMIT/base39.yaml"
  assert_contains "$output" "write 'python=3.12'"
  run -2 aq --node n1 base add three --file "$IT_SUBMIT/base39.yaml"
  run -4 aq --node n1 base remove 3.7
  assert_contains "$output" "aq base list"
}

@test "a base that another one was extended to, and a layer over that" {
  local file
  file=$(asks joblib==1.4.2 sklearn-free-plugin)
  {
    cat "$IT_SUBMIT/base39.yaml"
    echo "  - scipy"
  } | it_file bigger.yaml >/dev/null
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/bigger.yaml"
  build "$file"
  assert_equal "$kind" inherited
  run -0 in_env python -c 'import scipy, joblib; print(scipy.__file__)'
  refute_contains "$output" "$prefix/lib"
  like_whole "$file" 'import joblib; print(joblib.__version__)'
}

@test "aq base sync makes the bases that aq.conf names" {
  run -0 --separate-stderr aq --node n1 base sync
  assert_contains "$output" "names no base"
  echo "base = 3.12=$IT_SUBMIT/base312.yaml" >>"$AQ_CONF"
  run -0 --separate-stderr aq --node n1 base sync
  assert_contains "$output" "base 3.12  "
  run -0 --separate-stderr aq --node n1 base sync
  assert_contains "$output" "base 3.12  reused"
  echo "base = 3.12=/nowhere.yaml" >>"$AQ_CONF"
  run -1 --separate-stderr aq --node n1 base sync
  assert_contains "$stderr" "/nowhere.yaml"
  run -0 --separate-stderr aq --node n1 base list
  assert_contains "$output" "3.12 "
  sed -i '/^base = /d' "$AQ_CONF"
}
