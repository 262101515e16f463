#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The package cache that builds of all users share: whatever a client believes, no
# package changes what another has there, and what is linked from it is what its
# archive says.  That each archive is an attack on who believes it, attacks.bats shows.
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr; each test is a subshell

load lib

setup_file() {
  it_up
  export HOSTILE=$IT_DIR/hostile CANARY=$IT_DIR/canary PKGS=$IT_DIR/nodes/n1/lib/work/pkgs
  mkdir -m 755 "$HOSTILE" "$IT_DIR/clients" "$IT_DIR/hostile-wheels"
  mkdir -m 1777 "$CANARY"
  hostile make "$HOSTILE" "$IT_DIR/hostile-wheels" "$CANARY" | grep -v python >"$IT_DIR/archives"
  echo "channels = conda-forge=$AQ_CHANNEL hostile=file://$HOSTILE" >>"$IT_DIR/etc/aq.conf"
  cp "$IT_DIR/etc/aq.conf" "$IT_DIR/etc/aq.conf.first"
  it_file victim.yaml <<<'{channels: [hostile], dependencies: [aq-victim]}' >/dev/null
}
teardown_file() { it_down; }
setup() {
  it_begin
  it_forget
  cp "$IT_DIR/etc/aq.conf.first" "$IT_DIR/etc/aq.conf"
}
teardown() { it_end; }

hostile() { python3 "$BATS_TEST_DIRNAME/hostile.py" "$@"; }

# believe NAME: aq.conf's client is NAME, who takes packages at their word.
believe() {
  local tools
  tools=$("$AQ_LIB/get-tools")
  cat >"$IT_DIR/clients/$1" <<PY
#!$tools/bin/python -I
import runpy, sys
hostile = "$(readlink -f "$BATS_TEST_DIRNAME/hostile.py")"
sys.argv[:1] = [hostile, "client", "$1", "$(readlink -f "$BATS_TEST_DIRNAME/../clients/stand-in")", "$IT_INSTALL/libexec/slurm-aq/aq-rattler"]
runpy.run_path(hostile, run_name="__main__")
PY
  chmod 755 "$IT_DIR/clients/$1"
  echo "client = $IT_DIR/clients/$1" >>"$IT_DIR/etc/aq.conf"
}

# attack [BUT]: all archives (but that one) on a node that has the victim; what became of each is in said/.
attack() {
  local name request
  run -0 --separate-stderr as_user srun --aq-requirements="$IT_SUBMIT/victim.yaml" sh -c "cat \$AQ_ENV_PREFIX/share/aq-victim"
  assert_equal "$output" good
  [[ -d $PKGS/aq-victim-1.0-0 ]] || cp -a "$(it_victim)" "$PKGS/aq-victim-1.0-0"
  printf 'secret\n' >"$(it_cache n1)/work/home/aq-secret"
  chmod 644 "$(it_cache n1)/work/home/aq-secret"
  rm -rf "$IT_DIR/said"
  mkdir "$IT_DIR/said"
  while read -r name request; do
    echo "$request" | it_file "$name.yaml" >/dev/null
    as_user srun --overlap --aq-requirements="$IT_SUBMIT/$name.yaml" true </dev/null >"$IT_DIR/said/$name" 2>&1 3>&- &
  done < <(grep -v "^${1:-none} " "$IT_DIR/archives")
  wait
  assert_equal "$(hostile harm "$PKGS" "$(it_cache n1)/envs" "$CANARY")" ""
}

# it_victim: the victim as it would be unpacked, for a client that leaves nothing.
it_victim() {
  mkdir -p "$IT_DIR/unpacked"
  python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' \
    "$HOSTILE/noarch/aq-victim-1.0-0.tar.bz2" "$IT_DIR/unpacked"
  chown -R "$AQ_BUILDER_USER:" "$IT_DIR/unpacked"
  echo "$IT_DIR/unpacked"
}

# said NAME TEXT: that is why it was refused.
said() { assert_contains "$(cat "$IT_DIR/said/$1")" "$2"; }

# all_refused: what leads out, and what is from elsewhere.
all_refused() {
  local name
  for name in paths-{replace,rewrite,link,remove,absolute,escaped} files-replace; do
    said "$name" "has a path that leads out of the prefix"
  done
  said path-through-link "link"
  said source-link "only through a link"
}

@test "the bundled client" {
  attack
  all_refused
}

@test "a client that fetches first and believes all packages: they are looked at before it links" {
  believe micromamba
  # unpacking: who makes hard links to the outside can write what has no write bit
  attack tar-hard-link
  all_refused
}

@test "a client that links what it fetches and believes all packages: it harms its own build" {
  local rattler
  believe conda
  attack
  # and rattler's own command line, where it is compiled (tests/lib/get-rattler)
  if rattler=$(compgen -G "$AQ_CACHE/rattler-*/bin/rattler"); then
    setup
    echo "client = $rattler" >>"$IT_DIR/etc/aq.conf"
    attack
  fi
}

@test "a link that is where another package's link leads" {
  local client
  it_file a.yaml <<<'{channels: [hostile], dependencies: [two-a]}' >/dev/null
  it_file b.yaml <<<'{channels: [hostile], dependencies: [two-b]}' >/dev/null
  it_file both.yaml <<<'{channels: [hostile], dependencies: [two-a, two-b]}' >/dev/null
  for client in aq-rattler micromamba; do
    [[ $client == aq-rattler ]] || believe "$client"
    it_forget
    run -1 --separate-stderr aq --node n1 build "$IT_SUBMIT/both.yaml"
    assert_contains "$stderr" "a link where another link"
    # one of them is there, and looked at
    it_forget
    run -0 aq --node n1 build "$IT_SUBMIT/a.yaml"
    run -1 --separate-stderr aq --node n1 build "$IT_SUBMIT/both.yaml"
    assert_contains "$stderr" "a link where another link"
    run -0 aq --node n1 build "$IT_SUBMIT/b.yaml"
    # both are: no client has to link one through the other to find that out
    it_forget_failures n1
    run -1 --separate-stderr aq --node n1 build "$IT_SUBMIT/both.yaml"
    assert_contains "$stderr" "a link where another link"
    refute_contains "$stderr" "linking"
  done
}

@test "a link under which another package's files would be anywhere" {
  local client name what
  for client in aq-rattler micromamba; do
    [[ $client == aq-rattler ]] || believe "$client"
    for name in link-to-all link-above-caches link-slashes; do
      what="climbs out of the environment"
      [[ $name != link-slashes ]] || what="path"
      it_file "$name.yaml" <<<"{channels: [hostile], dependencies: [$name]}" >/dev/null
      run -1 --separate-stderr aq --node n1 build --refresh "$IT_SUBMIT/$name.yaml"
      assert_contains "$stderr" "$what"
    done
  done
}

@test "a link that leaves a directory by its \"..\", which is no link" {
  local client
  it_file b.yaml <<<'{channels: [hostile], dependencies: [left-b, aq-victim]}' >/dev/null
  it_file both.yaml <<<'{channels: [hostile], dependencies: [left-a, left-b]}' >/dev/null
  it_file noarch.yaml <<<'{channels: [conda-forge, hostile], dependencies: [python=3.12, noarch-a, noarch-b]}' >/dev/null
  it_file scripts.yaml <<<'{channels: [hostile], dependencies: [scripts-a, scripts-b]}' >/dev/null
  for client in aq-rattler micromamba; do
    [[ $client == aq-rattler ]] || believe "$client"
    it_forget
    run -1 --separate-stderr aq --node n1 build "$IT_SUBMIT/both.yaml"
    assert_contains "$stderr" "a link where another link"
    # by the client itself, before it links the second, and by who looks at it all
    [[ $client != aq-rattler ]] || ! it_is_bundled || assert_contains "$stderr" "has a link where another link leads: 'share/x"
    run -0 --separate-stderr aq --node n1 run "$IT_SUBMIT/b.yaml" -- sh -c "readlink \$AQ_ENV_PREFIX/lib/l"
    assert_equal "$output" ../share/x/../aq-victim
    # it is looked at by now
    it_forget_failures n1
    run -1 --separate-stderr aq --node n1 build "$IT_SUBMIT/both.yaml"
    assert_contains "$stderr" "a link where another link"
    # one that does not say where its programs are
    run -1 --separate-stderr aq --node n1 build "$IT_SUBMIT/scripts.yaml"
    assert_contains "$stderr" "a link where another link"
  done
  # nor where its Python is, which no stand-in can unpack
  cp "$IT_DIR/etc/aq.conf.first" "$IT_DIR/etc/aq.conf"
  run -1 --separate-stderr aq --node n1 build "$IT_SUBMIT/noarch.yaml"
  assert_contains "$stderr" "a link where another link"
}

# changes: what a client tries on the package that was closed, a line each.
tries_to_change() {
  cat >"$IT_DIR/clients/aq-rattler" <<PY
#!/usr/bin/python3 -I
import os, sys
victim = "$(it_cache n1)/pkgs/aq-victim-1.0-0"
def attempt(name, fn):
    try:
        fn()
        print("ATTACK", name, "through", file=sys.stderr)
    except OSError as e:
        print("ATTACK", name, "stopped", e, file=sys.stderr)
def overwrite():
    with open(victim + "/share/aq-victim", "w") as f:
        f.write("evil\n")
def replace():
    os.rename(os.environ["TMPDIR"] + "/evil", victim + "/share/aq-victim")
if "link" in sys.argv[1:2] and os.path.exists(victim):
    with open(os.environ["TMPDIR"] + "/evil", "w") as f:
        f.write("evil\n")
    attempt("overwrite", overwrite)
    attempt("replace", replace)
    attempt("remove", lambda: os.unlink(victim + "/share/aq-victim"))
    attempt("add", lambda: os.mkdir(victim + "/share/more"))
    attempt("index", lambda: os.unlink(victim + "/info/paths.json"))
    attempt("know", lambda: os.listdir("$(it_cache n1)/checked") and open("$(it_cache n1)/checked/aq-victim-1.0-0", "a"))
os.execv("$IT_DIR/client/aq-rattler", ["aq-rattler", *(a for a in sys.argv[1:] if a != "--stay")])
PY
  chmod 755 "$IT_DIR/clients/aq-rattler"
  echo "client = $IT_DIR/clients/aq-rattler" >>"$IT_DIR/etc/aq.conf"
}

@test "an unpacked package that was looked at is closed to clients" {
  it_needs_bundled "its client is that one, with a step before"
  run -0 aq --node n1 build "$IT_SUBMIT/victim.yaml"
  assert_equal "$(stat -c '%U %a' "$PKGS/aq-victim-1.0-0/share" "$PKGS/aq-victim-1.0-0/share/aq-victim")" \
    "root 755"$'\n'"$AQ_BUILDER_USER 444"
  assert_equal "$(stat -c %U "$PKGS/../checked/aq-victim-1.0-0")" root
  tries_to_change
  run -0 --separate-stderr as_user srun --aq-requirements="$(it_small)" true
  run -0 cat "$(it_cache n1)"/logs/*
  assert_equal "$(grep -c '^ATTACK .* stopped' <<<"$output")" 6
  # it is linked as it is, by another environment
  it_file both.yaml <<<'{channels: [conda-forge, hostile], dependencies: [aq-victim, activate-demo]}' >/dev/null
  run -0 --separate-stderr as_user srun --aq-requirements="$IT_SUBMIT/both.yaml" sh -c "cat \$AQ_ENV_PREFIX/share/aq-victim"
  assert_equal "$output" good
  [[ $(stat -c %h "$PKGS/aq-victim-1.0-0/share/aq-victim") -ge 3 ]]
  # what is known of it goes with it
  rm -r "$PKGS/aq-victim-1.0-0"
  run -0 it_gc n1
  assert_equal "$(ls "$PKGS/../checked")" "$(cd "$PKGS" && find activate-demo-* -maxdepth 0 -type d)"
}

@test "what is not what its archive says is not committed, but what is fetched anew" {
  it_needs_bundled "the gate is where it links"
  it_gate after link
  run_in_background
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  echo evil >"$PKGS/aq-victim-1.0-0/share/aq-victim"
  it_open
  wait_until "$IT_JOB_SECONDS" test -e "$IT_SUBMIT/status"
  assert_contains "$(cat "$IT_SUBMIT/err")" "has in the package cache another file than its index says: 'share/aq-victim'"
  assert_contains "$(cat "$IT_SUBMIT/err")" "all packages are fetched anew, for this environment alone"
  assert_equal "$(cat "$IT_SUBMIT/out") $(cat "$IT_SUBMIT/status")" "good 0"
  [[ ! -e $PKGS/aq-victim-1.0-0 ]]
}

@test "an index that was wrong from the beginning: a build alone, and nobody else's files" {
  local client
  it_file wrong.yaml <<<'{channels: [conda-forge, hostile], dependencies: [aq-victim, wrong-index]}' >/dev/null
  for client in aq-rattler micromamba; do
    [[ $client == aq-rattler ]] || believe "$client"
    it_forget
    run -0 --separate-stderr as_user srun --aq-requirements="$IT_SUBMIT/wrong.yaml" sh -c "cat \$AQ_ENV_PREFIX/share/w"
    assert_equal "$output" good
    assert_contains "$stderr" "package 'wrong-index-1.0-0' has in the package cache another file than its index says: 'share/w'"
    assert_equal "$(find "$PKGS" -type d -name 'wrong-index*')$(ls "$PKGS/../alone")" ""
    wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
    run -0 aq --node n1 verify --contents
  done
}
run_in_background() {
  rm -f "$IT_SUBMIT/status"
  {
    local status=0
    as_user srun --aq-requirements="$IT_SUBMIT/victim.yaml" sh -c "cat \$AQ_ENV_PREFIX/share/aq-victim" \
      >"$IT_SUBMIT/out" 2>"$IT_SUBMIT/err" || status=$?
    echo "$status" >"$IT_SUBMIT/status"
  } 3>&- &
}

@test "a package of another channel that has the place of one's own is not replaced" {
  it_file other.yaml <<<'{channels: [hostile], dependencies: [activate-demo]}' >/dev/null
  for _ in 1 2; do
    run -0 --separate-stderr as_user srun --aq-requirements="$(it_small)" sh -c "ls \$AQ_ENV_PREFIX/share || :"
    refute_contains "$output" evil
    run -0 --separate-stderr as_user srun --aq-requirements="$IT_SUBMIT/other.yaml" sh -c "cat \$AQ_ENV_PREFIX/share/aq-evil"
    assert_equal "$output" evil
    run ! grep -rq evil "$PKGS"/activate-demo-*/share
    it_forget_environments
  done
}
# it_forget_environments: the caches stay.
it_forget_environments() {
  it_begin
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1
  rm -rf "$(it_cache n1)"/{envs,meta,cache.db*} "$IT_DIR/nodes/n1/run" "$IT_DIR/nodes/n1/run-public"
}
