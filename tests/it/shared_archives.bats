#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shared_dir: the archives that one node fetched are the others', each checked where it
# arrives.
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

load lib
load shared

# three: DEMO needs three packages, two of them again elsewhere.
three() {
  package one 1
  package two 1
  DEMO=$(it_file three.yaml <<<'{channels: [own], dependencies: [demo, one, two]}')
  : >"$IT_DIR/requests"
}
# downloads: how often each archive was asked for.
downloads() { grep -o '[a-z0-9.-]*\.tar\.bz2$' "$IT_DIR/requests" | sort | uniq -c | awk '{print $1 ":" $2}' | tr '\n' ' '; }
# seconds after which a client that unpacks waits for no more, and has ended
readonly UNPACK_WAITS=3
readonly EACH_ONCE="1:demo-1.0-0.tar.bz2 1:one-1-0.tar.bz2 1:two-1-0.tar.bz2 "

@test "packages travel once, however many nodes ask at once" {
  three
  run -0 --separate-stderr as_user srun -N4 --aq-requirements="$DEMO" sh -c "cat \$AQ_ENV_PREFIX/share/two"
  assert_equal "$output" "1111"
  assert_equal "$(downloads)" "$EACH_ONCE"
  assert_equal "$(archives | wc -l)" 3
  nothing_left
  assert_equal "$(find "$IT_DIR"/nodes/*/lib/work/tmp -name 'archives-*')" ""
  for archive in $(archives); do
    assert_equal "$(sha256sum <"$archive")" "$(basename "$archive" .tar.bz2)  -"
    assert_equal "$(stat -c '%U %a' "$archive")" "$AQ_BUILDER_USER 644"
  done
  if it_is_bundled; then
    # rattler knows of which archive what it finds unpacked is
    archive=$(tail -c +9 "$IT_DIR/nodes/n2/lib/work/pkgs/demo-1.0-0.lock" | od -An -v -tx1 | tr -d ' \n')
    [[ -e $(find "$SHARED/packages" -name "$archive.tar.bz2") ]]
  fi
  # another request has one of them
  DEMO=$(it_file two.yaml <<<'{channels: [own], dependencies: [two]}')
  build n1
  assert_equal "$(downloads)" "$EACH_ONCE"
  it_forget
  build n2
  assert_equal "$(downloads)" "$EACH_ONCE"
}

# fetching: the nodes whose client has come to the gate before it fetches.
fetching() { for node in n{1..4}; do ! it_calls "$node" | grep -qxF "before fetch" || echo "$node"; done; }
fetch_at_once() { [[ $(fetching | wc -l) -eq $1 ]]; }

# many: DEMO needs packages of two groups of archives at least; GROUPED is how many those are.
many() {
  local n names=()
  for n in {1..12}; do
    package "p$n" 1
    names+=("p$n")
    GROUPED=$(cd "$SERVED" && sha256sum noarch/p*.tar.bz2 | cut -c1 | while read -r digit; do echo $((16#$digit % 4)); done | sort -u | wc -l)
    ((n < 4 || GROUPED < 2)) || break
  done
  DEMO=$(it_file many.yaml <<<"{channels: [own], dependencies: [$(IFS=,; echo "${names[*]}")]}")
  : >"$IT_DIR/requests"
}

# many_are_to_be_fetched: by a step on four nodes, STEP, each of GROUPED at the gate.
many_are_to_be_fetched() {
  many
  it_gate before fetch
  as_user srun -N4 --aq-requirements="$DEMO" sh -c "cat \$AQ_ENV_PREFIX/share/p1" >"$IT_DIR/many.out" 2>"$IT_DIR/many.err" 3>&- &
  STEP=$!
  wait_until "$IT_JOB_SECONDS" fetch_at_once "$GROUPED"
}

@test "the nodes of a step share what is to be fetched, and one that is killed only its part" {
  local killed
  many_are_to_be_fetched
  killed=$(fetching | tail -n 1)
  # shellcheck disable=SC2046 # pids
  kill -KILL $(it_builders "$killed")
  it_open
  wait "$STEP" || : # that node's task is told
  assert_equal "$(<"$IT_DIR/many.out")" "$(printf '1%.0s' 1 2 3)"
  assert_contains "$(<"$IT_DIR/many.err")" "aq: $killed:"
  # its client had asked for nothing yet
  run ! grep -v '^ *1:' <<<"$(downloads | tr ' ' '\n')"
  nothing_left
  build "$killed"
  run ! grep -v '^ *1:' <<<"$(downloads | tr ' ' '\n')"
}

@test "a node of a step that can fetch nothing has what the others fetch" {
  local failing
  many_are_to_be_fetched
  failing=$(fetching | head -n 1)
  touch "$(it_cache "$failing")/work/home/fails-to-fetch"
  it_open
  wait "$STEP" || { cat "$IT_DIR/many.err"; false; }
  assert_equal "$(<"$IT_DIR/many.out")" 1111
  run ! grep -v '^ *1:' <<<"$(downloads | tr ' ' '\n')"
  assert_equal "$(it_calls "$failing" | grep -c '^fetch ')" 1
  nothing_left
}

# late_one: DEMO asks for a package of a channel that can be slow, too.
late_one() {
  mkdir -m 755 "$SERVED/slow"
  "$AQ_LIB/make-package" "$SERVED/slow" late 1 --file share/late=late >/dev/null
  echo "channels = conda-forge=$AQ_CHANNEL own=http://127.0.0.1:$PORT slow=http://127.0.0.2:$PORT/slow" >>"$AQ_CONF"
  DEMO=$(it_file late.yaml <<<'{channels: [own, slow], dependencies: [demo, late]}')
  : >"$IT_DIR/requests"
}
# has_unpacked NODE PACKAGE
has_unpacked() { [[ -d $IT_DIR/nodes/$1/lib/work/pkgs/$2 ]]; }

@test "what one node has fetched by now another unpacks, while the rest is fetched" {
  it_needs_bundled "it alone has archives"
  late_one
  it_gate after solve
  start n1
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  it_rules '{"127.0.0.2": {"rate": 1}}'
  it_open
  start n2
  wait_until "$IT_JOB_SECONDS" has_unpacked n2 demo-1.0-0
  wait_until "$IT_JOB_SECONDS" has_unpacked n1 demo-1.0-0
  run ! has_unpacked n1 late-1-0
  run ! has_unpacked n2 late-1-0
  it_rules '{}'
  finish n1
  finish n2
  has n2 1.0
  assert_equal "$(downloads)" "1:demo-1.0-0.tar.bz2 1:late-1-0.tar.bz2 "
  nothing_left
}

has_solved() { grep -qx 'after solve' "$IT_DIR/nodes/$1/lib/work/home/attempts"; }

@test "who has resolved, and waits for another's download, does not end as it unpacks" {
  it_needs_bundled "it alone has archives"
  late_one
  it_gate after solve
  start n1
  # another request, of the same lock
  DEMO=$(it_file later.yaml <<<'{channels: [own, slow], dependencies: [demo, late>=1]}')
  start n2
  wait_until "$IT_JOB_SECONDS" has_solved n1
  wait_until "$IT_JOB_SECONDS" has_solved n2
  it_rules '{"127.0.0.2": {"rate": 1}}'
  it_open
  wait_until "$IT_JOB_SECONDS" has_unpacked n1 demo-1.0-0
  wait_until "$IT_JOB_SECONDS" has_unpacked n2 demo-1.0-0
  sleep "$UNPACK_WAITS"
  it_rules '{}'
  assert_equal "$(finish n1)" "$(finish n2)"
  assert_equal "$(downloads)" "1:demo-1.0-0.tar.bz2 1:late-1-0.tar.bz2 "
  nothing_left
}

@test "a node without network builds from what others have shared" {
  three
  lock=$(build n1)
  assert_equal "$(downloads)" "$EACH_ONCE"
  rm -r "$SERVED"
  : >"$IT_DIR/requests"
  assert_equal "$(build n2)" "$lock"
  assert_equal "$(<"$IT_DIR/requests")" ""
  run -0 aq --node n2 verify --contents
}

@test "an archive that is damaged or another's is fetched again, and replaced" {
  local how file n=1
  build n1
  for how in 'truncate -s 100' 'truncate -s +1' 'chown 0' 'chmod 666'; do
    ((n <= SOME)) || break
    it_forget
    n=$((n + 1))
    file=$(archives)
    # shellcheck disable=SC2086 # a command
    $how "$file"
    build n2
    has n2 1.0
    assert_contains "$(cat "$IT_DIR/n2.err")" "is fetched again: "
    assert_equal "$(downloads)" "$n:demo-1.0-0.tar.bz2 "
    assert_equal "$(sha256sum <"$file") $(stat -c '%U %a' "$file")" "$(basename "$file" .tar.bz2)  - $AQ_BUILDER_USER 644"
  done
}

@test "who fetches is killed half-way: another goes on" {
  three
  three_of_which_one_is_killed fetch
  it_open
  finish n2
  finish n3
  assert_equal "$(downloads)" "$EACH_ONCE"
  nothing_left
}

@test "who shares is killed while a client fetches: what that has is shared all the same" {
  it_needs_bundled "it alone has archives"
  three
  it_gate before fetch
  start n1
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  pkill -KILL -u "$AQ_BUILDER_USER" -x aq-builder
  it_open
  finish n1
  nothing_left
  build n2
  assert_equal "$(downloads)" "$EACH_ONCE"
}

# twin: another channel has a demo of the same name, version and build; TWIN asks for it.
twin() {
  mkdir -m 755 "$SERVED/twin"
  "$AQ_LIB/make-package" "$SERVED/twin" demo 1.0 --file share/demo=twin >/dev/null
  echo "channels = conda-forge=$AQ_CHANNEL own=http://127.0.0.1:$PORT twin=http://127.0.0.1:$PORT/twin" >>"$AQ_CONF"
  TWIN=$(it_file twin.yaml <<<'{channels: [twin], dependencies: [demo]}')
}

@test "another channel's package of the same name is unpacked while one's own is fetched" {
  it_needs_bundled "it alone has archives"
  local own
  own=$DEMO
  twin
  DEMO=$TWIN build n2
  it_gate before fetch
  start n1
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  # its archive is shared: it fetches none
  mv "$IT_DIR/n1.err" "$IT_DIR/n1.err.first"
  mv "$IT_DIR/n1.json" "$IT_DIR/n1.json.first"
  DEMO=$TWIN build n1
  has n1 twin
  mv "$IT_DIR/n1.json" "$IT_DIR/twin.json"
  mv "$IT_DIR/n1.json.first" "$IT_DIR/n1.json"
  it_open
  DEMO=$own finish n1 || { cat "$IT_DIR/n1.err.first"; false; }
  has n1 1.0
  # before anything was linked
  assert_contains "$(cat "$IT_DIR/n1.err.first")" "another archive's package has the place of one of these"
  assert_contains "$(cat "$IT_DIR/n1.err.first")" "for this environment alone"
  # which has its archives from the others
  assert_equal "$(downloads)" "2:demo-1.0-0.tar.bz2 "
  # and so it stays, whoever asks
  assert_equal "$(cat "$IT_DIR"/nodes/n1/lib/work/pkgs/demo-1.0-0/share/demo)" twin
  run -0 aq --node n1 verify --contents
  build n1 --refresh
  has n1 1.0
  DEMO=$TWIN build n1 --refresh
  has n1 twin
}

@test "a private channel: who fetches has its credentials, and no other node needs them" {
  three
  (
    umask 077
    echo "machine 127.0.0.1 login anna password hush-hush-9" >"$IT_DIR/etc/aq.credentials"
  )
  echo "credentials = $IT_DIR/etc/aq.credentials" >>"$AQ_CONF"
  echo '{"127.0.0.1": {"basic": "anna:hush-hush-9"}}' >"$IT_DIR/rules"
  build n1 || { echo '{}' >"$IT_DIR/rules"; return 1; }
  sed -i '/^credentials/d' "$AQ_CONF"
  build n2 || { echo '{}' >"$IT_DIR/rules"; return 1; }
  echo '{}' >"$IT_DIR/rules"
  assert_equal "$(grep -c ' 200 good .*tar.bz2$' "$IT_DIR/requests")" 3
  run ! grep -r hush-hush "$SHARED" "$IT_DIR/n1.err" "$IT_DIR/nodes/n1/lib/logs"
}

# travels_once NAME: archives do with that client, and a node gets them without the channel.
travels_once() {
  local damaged
  it_has_bundled
  it_client_is "$1"
  three
  run -0 --separate-stderr as_user srun -N4 --aq-requirements="$DEMO" sh -c "cat \$AQ_ENV_PREFIX/share/two"
  assert_equal "$output" "1111"
  assert_equal "$(downloads)" "$EACH_ONCE"
  assert_equal "$(archives | wc -l)" 3
  nothing_left
  assert_equal "$(find "$IT_DIR"/nodes/*/lib/work/{tmp,alone} -name 'archives-*')" ""
  it_forget
  damaged=$(archives | head -n 1)
  truncate -s -1 "$damaged"
  : >"$IT_DIR/requests"
  build n1
  assert_contains "$(cat "$IT_DIR/n1.err")" "is fetched again: "
  assert_equal "$(grep -c 'tar.bz2$' "$IT_DIR/requests")" 1
  assert_equal "$(sha256sum <"$damaged")" "$(basename "$damaged" .tar.bz2)  -"
  find "$SERVED" -name '*.tar.bz2' -delete
  build n2
  run -0 aq --node n2 verify --contents
}

# without_network: and another node needs nothing of it at all.
without_network() {
  rm -r "$SERVED"
  : >"$IT_DIR/requests"
  build n3
  assert_equal "$(<"$IT_DIR/requests")" ""
}

@test "archives travel once with a mamba (a real one, or its stand-in)" {
  travels_once mamba
  without_network
}

@test "and with conda, for which the bundled client fetches, and rattler, where it is compiled" {
  local rattler
  travels_once conda
  without_network
  if rattler=$(compgen -G "$AQ_CACHE/rattler-*/bin/rattler"); then
    it_has_no_bundled
    setup
    echo "client = $rattler" >>"$AQ_CONF"
    AQ_IT_CLIENT=$rattler travels_once rattler
  fi
}

@test "a mamba that finds another channel's package in its place has the archives from the others" {
  it_has_bundled
  it_client_is mamba
  twin
  build n2
  DEMO=$TWIN build n1
  assert_equal "$(downloads)" "2:demo-1.0-0.tar.bz2 "
  build n1
  has n1 1.0
  assert_equal "$(downloads)" "2:demo-1.0-0.tar.bz2 "
  assert_equal "$(find "$IT_DIR"/nodes/n1/lib/work/alone -mindepth 1)" ""
  # whose archive is in the cache, too, under that name
  run -0 aq --node n1 verify --contents
  truncate -s +1 "$IT_DIR/nodes/n1/lib/work/pkgs/demo-1.0-0.tar.bz2"
  run -3 aq --node n1 verify --contents
  assert_contains "$output" "is not the archive of 'demo' that its lock names"
}

# What nodes have without py-rattler is their client's alone.
@test "with conda, where nothing fetches for others, each node builds by itself" {
  it_client_is conda
  three
  run -0 --separate-stderr as_user srun -N3 --aq-requirements="$DEMO" sh -c "cat \$AQ_ENV_PREFIX/share/two"
  assert_equal "$output" "111"
  assert_equal "$(downloads)" "3:demo-1.0-0.tar.bz2 3:one-1-0.tar.bz2 3:two-1-0.tar.bz2 "
  assert_equal "$(archives)" ""
  nothing_left
}
