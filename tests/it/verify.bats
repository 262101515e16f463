#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Verifying and repairing environments of every kind, as clients really leave
# them.
# shellcheck disable=SC2016,SC2119,SC2120,SC2154 # the job's shell expands; bats sets stderr, and passes arguments

load lib

setup_file() {
  it_up
  it_wheels
  it_wheel aq-verify 1.0 --file 'aq_verify.py=N = 1
def main(): print(N)
' --script aq-verify=aq_verify:main
  it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip, activate-demo, {pip: [joblib==1.4.2]}]}' >/dev/null
  aq --node n1 base add 3.9 --file "$IT_SUBMIT/base.yaml"
  it_file inherited.yaml <<<'{dependencies: [python=3.9, {pip: [aq-verify, threadpoolctl]}]}' >/dev/null
  it_file linked.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, prefix-demo, {pip: [threadpoolctl]}]}' >/dev/null
  it_file created.yaml <<<'{channels: [conda-forge], dependencies: [python=3.12, prefix-demo, six]}' >/dev/null
  it_small >/dev/null # without a Python
}
teardown_file() { it_down; }
setup() {
  it_begin
  CACHE=$(it_cache n1)
}
teardown() { it_end; }

# build KIND: the environment of KIND.yaml, its name in $name, its prefix in
# $prefix.
build() {
  local isolated=()
  [[ $1 != base ]] || isolated=(--isolated) # as a base is
  aq --node n1 build --json "${isolated[@]}" "$IT_SUBMIT/$1.yaml" >"$IT_DIR/answer" 2>"$IT_DIR/said"
  prefix=$(jq -r .prefix "$IT_DIR/answer")
  name=${prefix##*/}
}

build_all() {
  local kind
  for kind in base inherited linked created small; do build "$kind"; done
}

verify() { aq --node n1 verify --contents "$@"; }

# is_clean: everything, by every way to look.
is_clean() {
  run -0 --separate-stderr aq --node n1 verify
  assert_contains "$output" "all of them are as their rows say"
  run -0 --separate-stderr verify
  assert_contains "$output" "all of them are what their locks say"
}

# repairs FINDING: 'verify' finds it in $name, repairs it, at the same path, for
# the same request; and finds nothing then.
repairs() {
  local lock
  lock=$(jq -r .lock "$IT_DIR/answer")
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1 # who makes byte-code uses it
  run -3 --separate-stderr verify "$name"
  assert_contains "$output" "$name: "
  assert_contains "$output" "$1"
  run -0 --separate-stderr verify --repair
  assert_contains "$output" "$1; repaired"
  is_clean
  build "$KIND"
  assert_equal "$(jq -r '"\(.resolution) \(.lock)"' "$IT_DIR/answer")" "reused $lock"
  assert_equal "$prefix" "$CACHE/envs/$name"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1 # what is damaged next has been noted
}

# flip FILE: one bit, as a disk would; size and times stay.
flip() {
  python3 - "$1" <<'PY'
import os, sys
path = sys.argv[1]
st = os.stat(path)
with open(path, "r+b") as f:
    f.seek(st.st_size // 2)
    byte = f.read(1)[0]
    f.seek(st.st_size // 2)
    f.write(bytes([byte ^ 1]))
os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
PY
}

@test "what was just built is clean, of every kind, and so it stays" {
  it_needs_bundled "it prefers the base's packages"
  build_all
  assert_equal "$(aq --node n1 list --json | jq -r '[.environments[].kind] | sort | join(" ")')" \
    "base created created inherited linked"
  # while byte-code is made too
  is_clean
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  is_clean
  # and the sizes are du's
  local env
  while read -r env; do
    assert_equal "$(aq --node n1 show --json "$env" | jq '.size_own + .size_shared')" \
      "$(du -s --block-size=1 "$CACHE/envs/$env" | cut -f1)"
  done < <(aq --node n1 list --json | jq -r '.environments[].name')
}

@test "a user's own cache is clean too, and repaired" {
  local own mine=(as_user -C "$IT_SUBMIT" HOME="$IT_SUBMIT/home" XDG_CACHE_HOME= AQ_CONF="$IT_DIR/etc/aq.conf" "$IT_INSTALL/bin/aq")
  install -d -o "$AQ_TEST_USER" -g "$AQ_TEST_USER" "$IT_SUBMIT/home"
  "${mine[@]}" base add 3.9 --file base.yaml
  run -0 --separate-stderr "${mine[@]}" build --json inherited.yaml
  own=$(jq -r .prefix <<<"$output")
  "${mine[@]}" build linked.yaml
  run -0 --separate-stderr "${mine[@]}" verify --contents
  assert_contains "$output" "3 environments, all of them are what their locks say"
  wait_while "$IT_BEHIND_SECONDS" pgrep -u "$AQ_TEST_USER" aq-builder
  run -0 --separate-stderr "${mine[@]}" verify --contents
  as_user chmod u+w "$own/lib/python3.9/site-packages"
  as_user rm "$own/lib/python3.9/site-packages/threadpoolctl.py"
  run -0 --separate-stderr "${mine[@]}" verify --contents --repair
  assert_contains "$output" "'lib/python3.9/site-packages/threadpoolctl.py' of package 'threadpoolctl' is missing; repaired"
  run -0 --separate-stderr "${mine[@]}" verify --contents
  "$own/bin/python" -c 'import threadpoolctl'
}

@test "created: a flipped bit of a file that the package cache shares" {
  KIND=created
  build "$KIND"
  flip "$prefix/lib/python3.12/site-packages/six.py"
  run -0 aq --node n1 verify # not to be seen from outside
  repairs "'lib/python3.12/site-packages/six.py' of package 'six' was changed"
}

@test "linked: a file is missing, one is too many" {
  local site
  KIND=linked
  build "$KIND"
  site=$prefix/lib/python3.9/site-packages
  echo 'N = 2' >"$site/extra.py"
  chmod 444 "$site/extra.py"
  repairs "'lib/python3.9/site-packages/extra.py' is of no package, and was not there when it was built"
  rm "$prefix/lib/python3.9/json/decoder.py"
  repairs "'lib/python3.9/json/decoder.py' of package 'python' is missing"
}

@test "inherited: a mode, byte-code, a program and a link" {
  local site
  KIND=inherited
  build "$KIND"
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  site=$prefix/lib/python3.9/site-packages
  chmod 4755 "$site/threadpoolctl.py"
  repairs "'lib/python3.9/site-packages/threadpoolctl.py' has mode 04755, not 0555"
  # another's, in its place
  cp --remove-destination "$site/__pycache__/threadpoolctl.cpython-39.pyc" "$site/__pycache__/aq_verify.cpython-39.pyc"
  repairs "'lib/python3.9/site-packages/__pycache__/aq_verify.cpython-39.pyc' of package 'aq-verify' was changed"
  # that of the package, shared
  flip "$site/__pycache__/threadpoolctl.cpython-39.pyc"
  repairs "'lib/python3.9/site-packages/__pycache__/threadpoolctl.cpython-39.pyc' of package 'threadpoolctl' was changed"
  sed -i '1s/.*/#!\/bin\/false/' "$prefix/bin/aq-verify"
  repairs "'bin/aq-verify' of package 'aq-verify' was changed"
  run -0 "$prefix/bin/aq-verify"
  ln -sfn /tmp "$prefix/etc"
  repairs "'etc' leads elsewhere"
}

@test "a base comes back as one, with what inherits from it" {
  local pin
  KIND=inherited
  build "$KIND"
  pin=$name
  aq --node n1 pin "$pin"
  KIND=base
  build "$KIND"
  flip "$prefix/lib/python3.9/json/decoder.py"
  repairs "'lib/python3.9/json/decoder.py' of package 'python' was changed"
  run -0 aq --node n1 base list --json
  assert_equal "$(jq -r '.bases[] | "\(.version) \(.name) \(.children)"' <<<"$output")" "3.9 $name 1"
  assert_equal "$(aq --node n1 show --json "$pin" | jq '.pinned')" true
  aq --node n1 unpin "$pin"
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$IT_SUBMIT/inherited.yaml" python -c 'import json, os, threadpoolctl; print(os.environ["AQ_RESOLUTION"])'
  assert_equal "$output" reused
}

@test "a manifest, a row, and all files that are lost" {
  KIND=linked
  build "$KIND"
  rm -r "$CACHE/meta/$name"
  repairs "it has no manifest in meta/"
  it_drop_row n1 "$name"
  repairs "'envs/$name' is there with a whole manifest, but without a row"
  rm -r "${CACHE:?}/envs/$name"
  repairs "its files are not there"
  rm "$CACHE/meta/$name/sums"
  repairs "its manifest has no 'sums' to compare with"
}

@test "an environment whose files somebody removed is used by no job, and another one is built" {
  local gone
  build small
  gone=$name
  runs() { as_user srun -w n1 --aq-requirements="$IT_SUBMIT/small.yaml" sh -c 'echo "$AQ_RESOLUTION $(ls -d "$AQ_ENV_PREFIX")"'; }
  run -0 --separate-stderr runs
  assert_equal "$output" "reused $CACHE/envs/$gone" # and remembered
  rm -r "${CACHE:?}/envs/$gone"
  run -0 --separate-stderr runs
  assert_contains "$output" "created $CACHE/envs/"
  refute_contains "$output" "$gone"
  run -0 --separate-stderr runs
  assert_contains "$output" "reused $CACHE/envs/"
  refute_contains "$output" "$gone"
  run -0 --separate-stderr verify --repair
  assert_contains "$output" "$gone: its files are not there; repaired"
  is_clean
}

@test "what a job uses is left alone, and so is its base, until it ends" {
  local file=$IT_SUBMIT/inherited.yaml job layer base hold
  build inherited
  layer=$name
  build base
  base=$name
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  job=$(it_submit -w n1 --aq-requirements="$file" --wrap "while [ ! -e $IT_SUBMIT/go ]; do sleep 0.1; done
    python -c 'import json, threadpoolctl; print(\"fine\")'")
  wait_until "$IT_JOB_SECONDS" it_job_is RUNNING "$job"
  wait_until 30 is_held "$layer"
  echo x >"$CACHE/envs/$layer/bin/extra"
  chmod 444 "$CACHE/envs/$layer/bin/extra" "$CACHE/envs/$base/bin"
  run -3 --separate-stderr verify --repair
  assert_contains "$output" "$layer: 'bin/extra' is of no package, and was not there when it was built; not repaired: it is in use"
  assert_contains "$output" "$base: 'bin' has mode 0444, not 0555; not repaired: what inherits from it is in use"
  chmod 555 "$CACHE/envs/$base/bin"
  touch "$IT_SUBMIT/go"
  it_wait "$job"
  assert_equal "$(cat "$IT_SUBMIT/${job}"_*.out)" fine
  it_begin
  # a builder that makes its byte-code, or aq run
  exec {hold}<"$IT_DIR/nodes/n1/run/locks/hold-$layer"
  flock -s "$hold"
  run -3 --separate-stderr verify --repair
  assert_contains "$output" "$layer: 'bin/extra' is of no package, and was not there when it was built; not repaired: a builder still uses it"
  exec {hold}<&-
  run -0 --separate-stderr verify --repair
  assert_contains "$output" "; repaired"
  is_clean
}

# is_held NAME: whether a reference holds that environment.
is_held() {
  it_holds n1 "$1"
}

@test "verifying all the time harms no job, and finds nothing" {
  local i jobs=() n=${AQ_COUNT_VERIFY_JOBS:-8}
  aq --node n1 gc >/dev/null
  (while [[ ! -e $IT_DIR/stop ]]; do verify >>"$IT_DIR/verify.log" 2>&1 || echo "FAILED" >>"$IT_DIR/verify.log"; done) 3>&- &
  for ((i = 0; i < n; i++)); do
    echo "{dependencies: [python=3.9, {pip: [aq-verify]}], channels: [conda-forge]}" >"$IT_SUBMIT/churn.yaml"
    jobs+=("$(it_submit -w n1 --aq-requirements="$IT_SUBMIT/churn.yaml" --wrap "python -c 'import aq_verify; print(\"fine\")'")")
    ((i % 4)) || aq --node n1 build --refresh "$IT_SUBMIT/created.yaml" >/dev/null 2>&1
  done
  for i in "${jobs[@]}"; do it_wait "$i" 300; done
  touch "$IT_DIR/stop"
  wait
  for i in "${jobs[@]}"; do
    assert_equal "$(tail -n 1 "$IT_SUBMIT/$i"_*.out)" fine # behind what a build says
  done
  refute_contains "$(cat "$IT_DIR/verify.log")" FAILED
}
