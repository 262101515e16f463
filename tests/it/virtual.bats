#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What packages need of a node, their virtual packages: a driver leaves, is another, and
# comes back, by aq.conf, or with a boot and by what the client detects.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # bats sets stderr; programs for other
# shells; and runs each test in a subshell

load lib

setup_file() {
  it_up --nodes 3
  # demo 2.0 needs a driver; what needs none is older
  "$AQ_LIB/make-package" "$IT_DIR/own" demo 2.0 --file share/demo=2.0 --depends '__cuda >=12' >/dev/null
  "$AQ_LIB/make-package" "$IT_DIR/own" demo 1.0 --file share/demo=1.0 >/dev/null
  # a client that detects what nodes/NODE/driver says
  cat >"$IT_DIR/client/detects" <<PY
#!/usr/bin/python3 -I
import os, pathlib, sys
driver = pathlib.Path(os.environ.get("HOME", "/").split("/lib/")[0], "driver")
if "CONDA_OVERRIDE_CUDA" not in os.environ and driver.exists():
    os.environ["CONDA_OVERRIDE_CUDA"] = driver.read_text().strip()
program = "$(sed -n 's/^client = //p' "$IT_DIR/etc/aq.conf" | tail -n 1)"
os.execv(program, [program, *sys.argv[1:]])
PY
  mkdir "$IT_DIR/client/detecting"
  mv "$IT_DIR/client/detects" "$IT_DIR/client/detecting/aq-rattler"
  chmod -R a+rX "$IT_DIR/client/detecting"
  chmod 755 "$IT_DIR/client/detecting/aq-rattler"
  cat >>"$IT_DIR/etc/aq.conf" <<CONF
client = $IT_DIR/client/detecting/aq-rattler
channels = conda-forge=$AQ_CHANNEL own=file://$IT_DIR/own
CONF
  cp -p "$AQ_CONF" "$IT_DIR/aq.conf.as-it-was"
  DEMO=$(it_file demo.yaml <<<'{channels: [own], dependencies: [demo]}')
  export DEMO
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_needs_bundled "it detects what the test says"
  it_forget
  cp -p "$IT_DIR/aq.conf.as-it-was" "$AQ_CONF"
  rm -f "$IT_DIR"/nodes/*/driver
}
teardown() { it_end; }

# has_driver VERSION [NODE]: from the next boot on; none: "".
has_driver() {
  local node=$IT_DIR/nodes/${2-n1}
  it_begin
  wait_while "$IT_BEHIND_SECONDS" it_has_workers "${node##*/}"
  rm -rf "$node/driver" "$node/run" "$node/run-public"
  [[ -z $1 ]] || echo "$1" >"$node/driver"
}
# takes VERSION: what aq.conf says instead.
takes() {
  sed -i '/^virtual_packages/d' "$AQ_CONF"
  echo "virtual_packages = __cuda=$1" >>"$AQ_CONF"
}
# gets RESOLUTION VERSION [OPTION]...: that is what a step has of demo on n1.
gets() {
  run -0 --separate-stderr as_user srun -w n1 "${@:3}" --aq-requirements="$DEMO" \
    sh -c 'echo "$AQ_RESOLUTION $(cat "$AQ_ENV_PREFIX/share/demo")"'
  assert_equal "$output" "$1 $2"
}
asked() { it_calls n1 | grep -c "^tell" || :; }

@test "a driver leaves with a boot and comes back: a hit is what fits, and nothing is built twice" {
  has_driver 12.4
  gets created 2.0
  assert_equal "$(asked)" 1
  gets reused 2.0
  has_driver ""
  gets created 1.0
  assert_contains "$stderr" "does not fit this node any more: it needs '__cuda >=12', and this node has none"
  gets reused 1.0
  refute_contains "$stderr" "aq:"
  run -0 aq --node n1 explain "$DEMO"
  assert_contains "$output" "does not fit: it needs '__cuda >=12', and this node has none"
  # another one, that will do
  has_driver 12.6
  gets reused 2.0
  has_driver 11.8
  gets reused 1.0
  assert_equal "$(it_attempts n1) $(it_builds n1)" "2 2"
  # nothing is damaged
  run -0 aq --node n1 verify --contents
}

@test "who looks up asks nobody: once a boot a builder does, for all" {
  has_driver 12.4
  gets created 2.0
  for _ in 1 2 3; do gets reused 2.0; done
  assert_equal "$(asked)" 1
  has_driver 12.5
  for _ in 1 2 3; do gets reused 2.0; done
  assert_equal "$(asked)" 2
  # what needs no driver needs no client
  DEMO=$(it_small)
  run -0 as_user srun -w n1 --aq-requirements="$DEMO" true
  has_driver ""
  run -0 as_user srun -w n1 --aq-requirements="$DEMO" printenv AQ_RESOLUTION
  assert_equal "$output $(asked)" "reused 2"
}

@test "aq.conf says what there is: the client believes it, and a word there is a change" {
  takes 12.4
  gets created 2.0
  takes 11.8
  gets created 1.0
  assert_contains "$stderr" "it needs '__cuda >=12', this node has 11.8"
  takes 12.4
  gets reused 2.0
  # a driver that is not to be used
  has_driver 13.0
  takes ""
  gets reused 1.0
  cp -p "$IT_DIR/aq.conf.as-it-was" "$AQ_CONF"
  gets reused 2.0
  assert_equal "$(it_builds n1)" 2
}

@test "a refresh without the driver is no word about the node with it" {
  takes 12.4
  gets created 2.0
  takes 11.8
  gets created 1.0
  gets reused 1.0
  "$AQ_LIB/make-package" "$IT_DIR/own" demo 1.5 --file share/demo=1.5 >/dev/null
  rm -rf "$(it_cache n1)/work/pkgs/repodata"
  gets created 1.5 --aq-refresh
  gets reused 1.5
  takes 12.4
  gets reused 2.0
  rm "$IT_DIR/own/noarch/demo-1.5-0.tar.bz2"
  jq 'del(.packages["demo-1.5-0.tar.bz2"])' "$IT_DIR/own/noarch/repodata.json" >"$IT_DIR/repodata"
  cp "$IT_DIR/repodata" "$IT_DIR/own/noarch/repodata.json"
}

@test "what cannot be without it says so, and is there again when it is" {
  DEMO=$(it_file needs.yaml <<<'{channels: [own], dependencies: ["demo=2"]}')
  takes 12.4
  gets created 2.0
  takes 11.8
  run -125 --separate-stderr as_user srun -w n1 --aq-requirements="$DEMO" true
  assert_contains "$stderr" "it needs '__cuda >=12', this node has 11.8"
  takes 12.4
  gets reused 2.0
}

@test "aq says what is needed and what does not fit" {
  local name
  takes 12.4
  gets created 2.0
  name=$(aq --node n1 show "$DEMO" --json | jq -r .name)
  run -0 aq --node n1 show "$name"
  assert_contains "$output" "needs       __cuda >=12"
  run -0 aq --node n1 show "$name" --json
  assert_equal "$(jq -c '[.needs, .unfit]' <<<"$output")" '[["__cuda >=12"],null]'
  run -0 aq --node n1 explain "$DEMO"
  assert_contains "$output" "reused"
  takes 11.8
  run -0 aq --node n1 show "$name"
  assert_contains "$output" "does not fit this node: it needs '__cuda >=12', this node has 11.8"
  run -0 aq --node n1 show "$name" --json
  assert_equal "$(jq -c .unfit <<<"$output")" "\"it needs '__cuda >=12', this node has 11.8\""
  run -4 aq --node n1 show "$DEMO"
  assert_contains "$output" "it needs '__cuda >=12', this node has 11.8"
  run -0 aq --node n1 explain "$DEMO"
  assert_contains "$output" "$name does not fit"
  run aq --node n1 doctor
  assert_contains "$output" "1 environments do not fit this node, $name for one: it needs '__cuda >=12', this node has 11.8"
}

@test "nobody inherits from a base that does not fit" {
  DEMO=$(it_file base.yaml <<<'{channels: [conda-forge, own], dependencies: [python=3.9, demo]}')
  takes 12.4
  run -0 aq --node n1 base add 3.9 --file "$DEMO"
  DEMO=$(it_file child.yaml <<<'{channels: [conda-forge, own], dependencies: [python=3.9, demo]}')
  gets inherited 2.0
  run -0 aq --node n1 show "$DEMO"
  assert_contains "$output" "__cuda >=12"
  takes 11.8
  gets created 1.0
  run -0 aq --node n1 show "$DEMO"
  assert_contains "$output" "not inherited from base 3.9: it needs '__cuda >=12', this node has 11.8"
  takes 12.4
  gets reused 2.0
}

@test "the cluster's lock is taken by nodes that have what it needs" {
  local node
  install -d -o "$AQ_BUILDER_USER" -m 755 "$IT_DIR/shared"
  echo "shared_dir = $IT_DIR/shared" >>"$AQ_CONF"
  has_driver 12.4 n1
  has_driver 12.6 n2
  for node in n1 n2 n3; do
    aq --node "$node" build --json "$DEMO" 2>"$IT_DIR/$node.err" >"$IT_DIR/$node.json"
  done
  assert_equal "$(jq -r .lock "$IT_DIR/n2.json")" "$(jq -r .lock "$IT_DIR/n1.json")"
  assert_equal "$(it_attempts n1) $(it_attempts n2) $(it_attempts n3)" "1 0 1"
  assert_equal "$(cat "$(jq -r .prefix "$IT_DIR/n3.json")/share/demo")" 1.0
  assert_contains "$(cat "$IT_DIR/n3.err")" "is not taken: it needs '__cuda >=12', and this node has none"
  # as it is by a node whose driver left
  has_driver "" n2
  aq --node n2 build --json "$DEMO" 2>"$IT_DIR/n2.err" >"$IT_DIR/n2.json"
  assert_equal "$(jq -r .lock "$IT_DIR/n2.json")" "$(jq -r .lock "$IT_DIR/n3.json")"
}

@test "a client that cannot tell is no reason to build anew" {
  has_driver 12.4
  gets created 2.0
  has_driver ""
  cat >"$IT_DIR/client/mute" <<PY
#!/usr/bin/python3 -I
import os, sys
program = "$IT_DIR/client/detecting/aq-rattler"
if sys.argv[1] == "tell":
    sys.exit("no idea")
os.execv(program, [program, *sys.argv[1:]])
PY
  mkdir -p "$IT_DIR/client/silent"
  install -m 755 "$IT_DIR/client/mute" "$IT_DIR/client/silent/aq-rattler"
  chmod 755 "$IT_DIR/client/silent"
  echo "client = $IT_DIR/client/silent/aq-rattler" >>"$AQ_CONF"
  gets reused 2.0
  assert_contains "$stderr" "the client cannot tell what this node has"
  gets reused 2.0
  refute_contains "$stderr" "cannot tell"
}
