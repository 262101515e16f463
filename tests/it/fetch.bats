#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# aq fetch, and wheels in shared_dir: nodes build from what lies there alone.
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

load lib

setup_file() {
  it_up --nodes 3
  SHARED=$IT_DIR/shared SERVED=$IT_DIR/served
  mkdir -m 755 "$SERVED" "$SERVED/wheels"
  "$AQ_LIB/make-package" "$SERVED" demo 1.0 --file share/demo=1.0 >/dev/null
  it_serve "$SERVED"
  cat >>"$AQ_CONF" <<CONF
channels = conda-forge=$AQ_CHANNEL own=http://127.0.0.1:$PORT
pip_index = http://127.0.0.1:$PORT/simple
find_links =
shared_dir = $SHARED
CONF
  WHEELS=$SERVED/wheels
  it_wheel aq_pure 1.0 --file aq_pure.py=X=1
  it_wheel aq_other 1.0 --file aq_other.py=X=1
  DEMO=$(it_file demo.yaml <<<'{channels: [own], dependencies: [demo]}')
  PURE=$(it_file pure.yaml <<<'{channels: [conda-forge, own], dependencies: [python=3.9, demo, {pip: [aq_pure]}]}')
  BOTH=$(it_file both.yaml <<<'{channels: [conda-forge, own], dependencies: [python=3.9, {pip: [aq_pure, aq_other]}]}')
  # pip is the environment's own
  BY_PIP=$(it_file by-pip.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip, {pip: [aq_pure, aq_other]}]}')
  BASE=$(it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip]}')
  export SHARED SERVED WHEELS DEMO PURE BOTH BY_PIP BASE
  cp -p "$AQ_CONF" "$IT_DIR/aq.conf.as-it-was"
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_forget
  cp -p "$IT_DIR/aq.conf.as-it-was" "$AQ_CONF"
  rm -rf "$SHARED" "$IT_SUBMIT/taken"
  install -d -o "$AQ_BUILDER_USER" -m 755 "$SHARED"
  : >"$IT_DIR/requests"
}
teardown() {
  ! [[ -e $IT_DIR/away ]] || comes_back
  it_has_no_bundled
  it_end
}

# goes / comes_back: all that the channel and the index have.
goes() { mv "$SERVED" "$IT_DIR/away"; }
comes_back() { mv "$IT_DIR/away" "$SERVED"; }

build() { aq --node "$1" build --json "$2" 2>"$IT_DIR/$1.err" >"$IT_DIR/$1.json" || { cat "$IT_DIR/$1.err" >&2; return 1; }; }
prefix() { jq -r .prefix "$IT_DIR/$1.json"; }
imports() { as_user env -i "$(prefix "$1")/bin/python" -c "import $2"; }
wheels() { find "$SHARED/packages" -name '*.whl'; }
# downloads: how often each wheel was asked for.
downloads() { grep -o '[a-z_]*-[0-9.]*-[a-z0-9-]*\.whl$' "$IT_DIR/requests" | sort | uniq -c | awk '{print $1 ":" $2}' | tr '\n' ' '; }
fetches() { as_user AQ_CONF="$AQ_CONF" XDG_CACHE_HOME="$IT_SUBMIT/cache" aq fetch "$@"; }

@test "what somebody fetched anywhere is all that nodes need" {
  run -0 --separate-stderr fetches "$PURE" --into "$IT_SUBMIT/taken" --json
  jq -e '.schema == 1 and .wheels == 1 and .packages >= 2' <<<"$output"
  lock=$(jq -r .lock <<<"$output")
  goes
  # as the manual has it
  cp -r "$IT_SUBMIT/taken/." "$SHARED"
  chown -R "$AQ_BUILDER_USER" "$SHARED"
  : >"$IT_DIR/requests"
  build n1 "$PURE"
  assert_equal "$(jq -r .lock "$IT_DIR/n1.json")" "$lock"
  assert_equal "$(<"$IT_DIR/requests")" ""
  assert_equal "$(it_attempts n1)" 0
  imports n1 aq_pure
  run -0 aq --node n1 verify --contents
  run -0 --separate-stderr as_user srun -w n2 --aq-requirements="$PURE" printenv AQ_LOCK
  assert_equal "$output" "$lock"
  # nothing was built where it was fetched
  assert_equal "$(ls "$IT_SUBMIT/cache/slurm-aq/envs")" ""
}

@test "root fetches into shared_dir itself; a base, and what inherits from it" {
  run -0 --separate-stderr aq --node n1 fetch "$BASE"
  run -0 --separate-stderr aq --node n1 base add 3.9 --file "$BASE"
  run -0 --separate-stderr aq --node n1 fetch "$BOTH"
  assert_contains "$output" "fetched  0 packages, 2 wheels  into $SHARED"
  [[ -z $(find "$SHARED" ! -user "$AQ_BUILDER_USER") ]]
  goes
  run -0 --separate-stderr aq --node n2 base add 3.9 --file "$BASE"
  build n2 "$BOTH"
  assert_equal "$(jq -r .resolution "$IT_DIR/n2.json")" inherited
  imports n2 aq_other
  run -0 aq --node n2 verify --contents
}

@test "what cannot be had is no success, and what is there is looked at" {
  run -3 --separate-stderr fetches "$DEMO"
  assert_contains "$stderr" "'$SHARED' cannot be used, see above: nothing was put there"
  mv "$SERVED"/noarch/demo-1.0-0.tar.bz2 "$IT_DIR/demo"
  run -3 --separate-stderr fetches "$DEMO" --into "$IT_SUBMIT/taken"
  mv "$IT_DIR/demo" "$SERVED"/noarch/demo-1.0-0.tar.bz2
  run -0 --separate-stderr fetches "$DEMO" --into "$IT_SUBMIT/taken"
  archive=$(find "$IT_SUBMIT/taken/packages" -type f)
  truncate -s -1 "$archive"
  run -0 --separate-stderr fetches "$DEMO" --into "$IT_SUBMIT/taken"
  assert_contains "$stderr" "is fetched again: "
  assert_equal "$(sha256sum <"$archive")" "$(basename "$archive" .tar.bz2)  -"
  # of somebody else it is nothing to a node
  cp -r "$IT_SUBMIT/taken/." "$SHARED"
  chown -R "$AQ_TEST_USER" "$SHARED"/*
  goes
  run ! build n1 "$DEMO"
}

# as_one_alone REQUEST: three nodes at once fetch what one alone does, and share two wheels.
# alone: that.
as_one_alone() {
  build n1 "$1"
  alone=$(downloads)
  [[ -n $alone ]]
  it_forget
  rm -rf "${SHARED:?}"/*
  : >"$IT_DIR/requests"
  run -0 --separate-stderr as_user srun -N3 --aq-requirements="$1" python -c 'import aq_pure, aq_other'
  assert_equal "$(downloads)" "$alone"
  assert_equal "$(wheels | wc -l)" 2
}

@test "wheels travel once, however many nodes ask at once" {
  local alone
  # uv asks for some of each to resolve, which one node does for all
  as_one_alone "$BOTH"
  assert_equal "$(find "$IT_DIR"/nodes/*/lib/work/tmp -mindepth 1)" ""
  it_forget
  : >"$IT_DIR/requests"
  truncate -s -1 "$(wheels | head -n 1)"
  build n1 "$BOTH"
  assert_contains "$(cat "$IT_DIR/n1.err")" "is fetched again: "
  assert_equal "$(grep -c 'whl$' "$IT_DIR/requests")" 1
  imports n1 aq_pure
}

@test "environments share what is unpacked of a wheel, until it is collected" {
  aq --node n1 base add 3.9 --file "$BASE" 2>/dev/null
  build n1 "$PURE"
  first=$(find "$(prefix n1)"/lib/python3.9/site-packages/aq_pure* -name '*.py' | head -n 1)
  build n1 "$BOTH"
  second=$(find "$(prefix n1)"/lib/python3.9/site-packages/aq_pure* -name '*.py' | head -n 1)
  [[ $first != "$second" && $first -ef $second ]]
  files=$(it_cache n1)/work/wheels/files
  assert_equal "$(find "$files" -type f | wc -l)" 2
  it_gc n1 >/dev/null
  assert_equal "$(find "$files" -type f | wc -l)" 2
  it_limits "max_size = 1" "grace = 0"
  it_gc n1 >/dev/null
  it_limits
  assert_equal "$(find "$files" -type f)" ""
}

# has_wheel NODE NAME: as pip installs it from an index: nothing says where it was.
has_wheel() {
  local site
  site=$(prefix "$1")/lib/python3.9/site-packages
  imports "$1" "$2"
  [[ $(<"$site/$2-1.0.dist-info/INSTALLER") == pip && ! -e $site/$2-1.0.dist-info/direct_url.json ]]
}

@test "wheels travel once for pip too, however many nodes ask at once" {
  local alone name
  echo "pip_client = pip" >>"$AQ_CONF"
  # pip asks for each to resolve, which one node does for all
  as_one_alone "$BY_PIP"
  assert_equal "$(find "$IT_DIR"/nodes/*/lib/work/{tmp,pass} -mindepth 1 -name '*w*')" ""
  it_forget
  : >"$IT_DIR/requests"
  truncate -s -1 "$(wheels | head -n 1)"
  build n1 "$BY_PIP"
  assert_contains "$(cat "$IT_DIR/n1.err")" "is fetched again: "
  # once, by who checks it, and no index
  assert_equal "$(wc -l <"$IT_DIR/requests")" 1
  for name in aq_pure aq_other; do has_wheel n1 "$name"; done
  goes
  : >"$IT_DIR/requests"
  build n2 "$BY_PIP"
  assert_equal "$(<"$IT_DIR/requests")" ""
  has_wheel n2 aq_pure
  run -0 aq --node n2 verify --contents
}

@test "pip takes wheels that are near as they are, and what somebody fetched" {
  local file local_wheels=$IT_DIR/near
  mkdir -m 755 "$local_wheels"
  WHEELS=$local_wheels it_wheel aq_near 1.0+here --file aq_near.py=X=1
  {
    echo "pip_client = pip"
    echo "find_links = $local_wheels"
  } >>"$AQ_CONF"
  file=$(it_file near.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip, {pip: [aq_pure, aq_near]}]}')
  run -0 --separate-stderr fetches "$file" --into "$IT_SUBMIT/taken"
  assert_contains "$output" ", 2 wheels  into $IT_SUBMIT/taken"
  cp -r "$IT_SUBMIT/taken/." "$SHARED"
  chown -R "$AQ_BUILDER_USER" "$SHARED"
  assert_equal "$(wheels | wc -l)" 1
  goes
  build n2 "$file"
  has_wheel n2 aq_pure
  imports n2 aq_near
}

# fetches_with NAME: with that client, which AQ_IT_CLIENT may be, or its stand-in.
fetches_with() {
  it_client_is "$1"
  it_forget
  rm -rf "${SHARED:?}"/*
  run -0 --separate-stderr aq --node n1 fetch "$PURE"
  assert_contains "$output" "1 wheels  into $SHARED"
  goes
  : >"$IT_DIR/requests"
  build n2 "$PURE"
  imports n2 aq_pure
  assert_equal "$(<"$IT_DIR/requests")" ""
  run -0 aq --node n2 verify --contents
  comes_back
}

@test "with another client wheels travel once too, and aq fetches for it (a real one's, or its stand-in's)" {
  local alone
  it_has_bundled
  it_client_is mamba
  as_one_alone "$BOTH"
  fetches_with mamba
  fetches_with conda
}

# start NODE fetch|build: DEMO meanwhile.
start() {
  {
    local status=0
    aq --node "$1" "$2" "$DEMO" >"$IT_DIR/$1.out" 2>"$IT_DIR/$1.err" || status=$?
    echo "$status" >"$IT_DIR/$1.status"
  } 3>&- &
}
is_over() { [[ -e $IT_DIR/$1.status ]]; }
# finish NODE: it succeeds.
finish() {
  wait_until "$IT_JOB_SECONDS" is_over "$1"
  assert_equal "$(<"$IT_DIR/$1.status")" 0
  rm "$IT_DIR/$1.status"
}
waits_for() { grep -q "waiting: node $2 does this for all" "$IT_DIR/$1.err"; }

@test "who fetches and who builds at once download once" {
  local first second
  for first in fetch build; do
    second=build
    [[ $first == fetch ]] || second=fetch
    it_forget
    rm -rf "${SHARED:?}"/* "$IT_DIR"/n?.{err,status}
    : >"$IT_DIR/requests"
    it_gate before fetch
    start n1 "$first"
    wait_until "$IT_JOB_SECONDS" it_is_at_gate
    start n2 "$second"
    wait_until "$IT_JOB_SECONDS" waits_for n2 n1
    it_open
    finish n1
    finish n2
    assert_equal "$(grep -c 'demo-1.0-0.tar.bz2$' "$IT_DIR/requests")" 1
  done
}
