#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the task's environment becomes.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; jobs expand variables

load lib
setup_file() {
  it_up
  DEMO=$(it_file demo.yaml <<'YAML'
channels: [conda-forge]
dependencies: [python=3.9, activate-demo, prefix-demo]
variables: {OMP_NUM_THREADS: "4"}
YAML
  )
  export DEMO
  as_user srun --aq-requirements="$DEMO" true
}
teardown_file() { it_down; }
setup() { it_begin; }
teardown() { it_end; }

in_demo() { as_user "${before[@]}" srun --aq-requirements="$DEMO" "$@"; }

@test "bin is first in PATH, and a program named without a path is found there" {
  before=()
  prefix=$(in_demo printenv AQ_ENV_PREFIX)
  run -0 --separate-stderr in_demo bash -c 'echo "${PATH%%:*} $CONDA_PREFIX"; command -v python'
  assert_equal "$output" "$prefix/bin $prefix"$'\n'"$prefix/bin/python"
  run -0 --separate-stderr in_demo python -c 'import sys; print(sys.prefix)'
  assert_equal "$output" "$prefix"
  # with a path it is the one that was named
  run -0 --separate-stderr in_demo /usr/bin/python3 -c 'import sys; print(sys.prefix)'
  assert_equal "$output" "/usr"
}

@test "what activation scripts set is set, and variables come last" {
  before=(DEMO_VAR=mine OMP_NUM_THREADS=99)
  prefix=$(in_demo printenv AQ_ENV_PREFIX)
  run -0 --separate-stderr in_demo printenv ACTIVATE_DEMO ENVVARS_DEMO OMP_NUM_THREADS PYTHONNOUSERSITE
  assert_equal "$output" "on:$prefix"$'\nfrom-json\n4\n1'
}

@test "prefixes were replaced, in text, in binaries and in scripts" {
  before=()
  prefix=$(in_demo printenv AQ_ENV_PREFIX)
  assert_equal "$(cat "$prefix/share/prefix-demo/prefix.txt")" "$prefix"
  grep -qaF "$prefix/share" "$prefix/share/prefix-demo/prefix.bin"
  run -0 --separate-stderr in_demo prefix-demo
  assert_equal "$output" "$prefix $prefix"
}

@test "a submitter's venv or conda environment does not leak in" {
  venv=$IT_SUBMIT/venv
  as_user python3 -m venv --without-pip "$venv"
  before=(VIRTUAL_ENV="$venv" PATH="$venv/bin:$PATH")
  run -0 --separate-stderr in_demo bash -c 'echo "${VIRTUAL_ENV-unset}"; [[ :$PATH: != *"/submit/venv/"* ]] && command -v python'
  assert_equal "${lines[0]}" "unset"
  [[ ${lines[1]} == "$IT_DIR"/nodes/n1/lib/envs/*/bin/python ]]
  before=(CONDA_PREFIX=/opt/other CONDA_DEFAULT_ENV=other CONDA_SHLVL=1 PATH="/opt/other/bin:$PATH")
  run -0 --separate-stderr in_demo bash -c '[[ :$PATH: != *:/opt/other/bin:* ]] && echo "$CONDA_PREFIX"'
  [[ $output == "$IT_DIR"/nodes/n1/lib/envs/* ]]
}

@test "user-site packages do not leak in" {
  home=$(getent passwd "$AQ_TEST_USER" | cut -d: -f6)
  site=$home/.local/lib/python3.9/site-packages
  as_user mkdir -p "$site"
  as_user sh -c "echo 'leaked = True' >$site/aqleak.py"
  before=()
  run ! in_demo python -c 'import aqleak'
  as_user rm -r "$home/.local"
}

@test "link scripts are not run: what has one is refused by name" {
  file=$(it_file post.yaml <<<'{channels: [conda-forge], dependencies: [postlink-demo]}')
  run -125 --separate-stderr as_user srun --aq-requirements="$file" true
  assert_contains "$stderr" "package 'postlink-demo' has a link script ('bin/.postlink-demo-post-link.sh')"
  assert_equal "$(find "$IT_DIR/nodes/n1/lib" -name postlink-demo.stamp)" ""
}
