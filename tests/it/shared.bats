#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shared_dir: what one node resolved is what all get, and what it fetched, whatever becomes
# of the channel, of who is at work, and of the file system.
# shellcheck disable=SC2154,SC2030,SC2031 # bats sets stderr, and runs each test in a subshell

load lib
load shared

@test "the lock that one node resolved is the others', though the channel has changed" {
  local lock
  run -0 aq --node n1 explain "$DEMO"
  refute_contains "$output" "cluster"
  assert_equal "$(locks)" ""
  lock=$(build n1)
  run -0 aq --node n2 explain "$DEMO"
  assert_contains "$output" "as the cluster's lock has it, generation 1"
  assert_equal "$(sha256sum <"$(lock_file 1)")" "$lock  -"
  package demo 2.0
  assert_equal "$(build n2)" "$lock"
  has n2 1.0
  assert_equal "$(it_attempts n2)" 0
  run -0 --separate-stderr as_user srun -w n3,n4 --aq-requirements="$DEMO" printenv AQ_LOCK
  assert_equal "$output" "$lock"$'\n'"$lock"
  assert_equal "$(locks)" "1 "
  nothing_left
  assert_equal "$(stat -c '%U %a' "$(lock_file 1)")" "$AQ_BUILDER_USER 644"
  refute_contains "$stderr" "by itself"
  run -0 aq --node n2 show "$DEMO"
  assert_contains "$output" "as the cluster's lock has it, generation 1"
  # without it
  it_forget
  sed -i '/^shared_dir/d' "$AQ_CONF"
  [[ $(build n2) != "$lock" ]]
  has n2 2.0
}

@test "without it a step over several nodes is told once that they resolve alone" {
  sed -i '/^shared_dir/d' "$AQ_CONF"
  run -0 --separate-stderr as_user srun -N3 --aq-requirements="$DEMO" true
  assert_equal "$(grep -c "each of the step's 3 nodes resolves this by itself" <<<"$stderr")" 1
  it_forget
  run -0 --separate-stderr as_user srun -N1 --aq-requirements="$DEMO" true
  refute_contains "$stderr" "by itself"
}

@test "all nodes at once resolve once" {
  run -0 --separate-stderr as_user srun -N4 --aq-requirements="$DEMO" printenv AQ_LOCK
  assert_equal "$(sort -u <<<"$output" | wc -l)" 1
  assert_equal "$(wc -l <<<"$output")" 4
  assert_equal "$(($(it_attempts n1) + $(it_attempts n2) + $(it_attempts n3) + $(it_attempts n4)))" 1
  assert_equal "$(locks)" "1 "
  nothing_left
}


@test "who resolves is killed half-way: another node takes over, and the rest take that" {
  local lock
  three_of_which_one_is_killed solve
  wait_until "$IT_JOB_SECONDS" test -e "$IT_DIR/n1.status"
  it_open
  lock=$(finish n2)
  assert_equal "$(finish n3)" "$lock"
  assert_equal "$(solves)" 2
  rm "$IT_DIR/n1.status"
  assert_equal "$(build n1)" "$lock"
  assert_equal "$(solves) $(locks)" "2 1 "
  nothing_left
}

@test "who resolves is cancelled: another takes over at once; who cannot is not waited for" {
  local job lock
  it_gate before solve
  job=$(it_submit -w n1 --aq-requirements="$DEMO" --wrap true)
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  start n2
  wait_until "$IT_JOB_SECONDS" waits_for n2 n1
  scancel "$job"
  it_wait "$job"
  wait_while "$IT_JOB_SECONDS" has_builders n1
  it_open
  lock=$(finish n2)
  assert_equal "$(build n3)" "$lock"
  # a request that cannot be met is nobody's lock, and each is told why
  DEMO=$(it_file none.yaml <<<'{channels: [own], dependencies: [demo=7]}')
  it_gate before solve
  start n1
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  start n2
  wait_until "$IT_JOB_SECONDS" waits_for n2 n1
  it_open
  wait_until "$IT_JOB_SECONDS" test -e "$IT_DIR/n1.status" -a -e "$IT_DIR/n2.status"
  rm "$IT_DIR"/n?.status
  assert_contains "$(cat "$IT_DIR/n2.err")" "demo"
  assert_equal "$(locks)" "1 "
}

@test "a refresh is the next generation, of all nodes of its job, and of others' next miss" {
  local old new
  old=$(build n1)
  build n3
  package demo 2.0
  run -0 --separate-stderr as_user srun -w n1,n2 --aq-refresh --aq-requirements="$DEMO" \
    sh -c "echo \"\$AQ_LOCK \$(cat \$AQ_ENV_PREFIX/share/demo)\""
  assert_equal "$(grep -c ' 2\.0$' <<<"$output")" 2
  new=$(cut -d ' ' -f 1 <<<"$output" | sort -u)
  assert_equal "$(wc -l <<<"$new")" 1
  assert_equal "$(locks)" "1 2 "
  assert_equal "$(($(it_attempts n1) + $(it_attempts n2)))" 2
  package demo 3.0
  assert_equal "$(build n4)" "$new"
  # a hit looks at nothing
  assert_equal "$(build n3)" "$old"
  assert_equal "$(build n3 --refresh)" "$(build n3)"
  has n3 3.0
  assert_equal "$(locks)" "2 3 "
  nothing_left
}

# broken VERSION: the channel has demo in that version, which cannot be fetched.
broken() {
  package demo "$1"
  rm "$SERVED/noarch/demo-$1-0.tar.bz2"
}

@test "a refresh that cannot be built is nobody's" {
  local lock
  lock=$(build n1)
  broken 2.0
  run ! --separate-stderr as_user srun -w n1,n2 --aq-refresh --aq-requirements="$DEMO" true
  run ! build n3 --refresh
  assert_equal "$(locks)" "1 "
  assert_equal "$(build n4)" "$lock"
  nothing_left
}

@test "a lock that cannot be built is replaced by who finds that out" {
  local lock
  build n1
  package demo 2.0
  # a lock that is one, and that this node may have
  sed 's|demo 1.0 0$|demo 1.0 0/0|' "$(lock_file 1)" >"$IT_DIR/changed"
  cat "$IT_DIR/changed" >"$(lock_file 1)"
  rm -rf "$SHARED/packages"
  lock=$(build n2)
  has n2 2.0
  assert_equal "$(grep -c "cannot be built here, so it is resolved once more: package 'demo' has a version or a build" "$IT_DIR/n2.err")" 1
  assert_equal "$(locks)" "1 2 "
  [[ -n $(archives) ]]
  assert_equal "$(build n3)" "$lock"
  assert_equal "$(it_attempts n3)" 0
  # where there is nothing else it fails as it did
  rm -rf "$SHARED/packages" "$SERVED/noarch/demo-2.0-0.tar.bz2"
  run ! build n4
  assert_contains "$output" "the packages cannot be installed"
  assert_equal "$(locks)" "1 2 "
  nothing_left
}

@test "what is damaged, another's, or writable by others is ignored and said, and replaced" {
  local lock how n=1
  lock=$(build n1)
  for how in 'truncate -s 100' 'chown 0' 'chmod 664' 'sed -i s/^conda/Conda/' 'truncate -s 0'; do
    ((n <= SOME)) || break
    n=$((n + 1))
    it_forget
    # shellcheck disable=SC2086 # a command
    $how "$(lock_file $((n - 1)))"
    assert_equal "$(build n2)" "$lock"
    assert_contains "$(cat "$IT_DIR/n2.err")" "shared_dir: '"
    assert_contains "$(cat "$IT_DIR/n2.err")" "is ignored: "
    assert_equal "$(it_attempts n2)" 1
    assert_equal "$(build n3)" "$lock"
    assert_equal "$(it_attempts n3)" 0
    assert_contains "$(locks)" "$n "
  done
}

@test "a lock that this node may not have is not taken, and not replaced" {
  local lock file n=0
  lock=$(build n1)
  file=$(lock_file 1)
  cp -p "$file" "$IT_DIR/lock"
  for how in 's|http://127.0.0.1:[0-9]*/noarch/|http://127.0.0.9:1/noarch/|' \
    's|/noarch/demo|/noarch/%2e%2e/demo|' 's|^platform .*|platform linux-aarch64|' \
    's|^platform .*|&\nvirtual __cuda >=99|' 's|demo 1.0 0$|other 1.0 0|' 's|demo 1.0 0$|demo 1.0 0\nvcs git+https://h/r@'"$(printf '%040d' 1) $(printf '%040d' 1)"' r 1|'; do
    ((n++ < SOME)) || break
    it_forget
    sed "$how" "$IT_DIR/lock" >"$IT_DIR/changed"
    cat "$IT_DIR/changed" >"$file"
    rm -rf "$SHARED/packages"
    assert_equal "$(build n2)" "$lock"
    assert_contains "$(cat "$IT_DIR/n2.err")" "the lock of this request is not taken: "
    assert_equal "$(locks)" "1 "
    run -0 cmp "$file" "$IT_DIR/changed"
    # packages are what they are, whoever needs them
    [[ -n $(archives) ]]
  done
}

@test "bases are one too, and may be given as a lock" {
  local base children
  it_file base.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, pip]}' >/dev/null
  it_file child.yaml <<<'{channels: [conda-forge], dependencies: [python=3.9, {pip: [certifi]}]}' >/dev/null
  for node in n1 n2; do
    run -0 aq --node "$node" base add 3.9 --file "$IT_SUBMIT/base.yaml"
  done
  base=$(aq --node n1 base list --json | jq -r '.bases[0].lock')
  assert_equal "$(aq --node n2 base list --json | jq -r '.bases[0].lock')" "$base"
  assert_equal "$(($(it_attempts n1) + $(it_attempts n2)))" 1
  run -0 --separate-stderr as_user srun -w n1,n2 --aq-requirements="$IT_SUBMIT/child.yaml" printenv AQ_LOCK AQ_RESOLUTION
  children=$(sort -u <<<"$output")
  assert_equal "$(wc -l <<<"$children")" 2
  assert_contains "$children" inherited
  # a lock is a request for the same
  aq --node n1 show --lock "$(aq --node n1 base list --json | jq -r '.bases[0].name')" | it_file base.lock >/dev/null
  sed -i '/^shared_dir/d' "$AQ_CONF"
  run -0 aq --node n3 base add 3.9 --file "$IT_SUBMIT/base.lock"
  assert_equal "$(aq --node n3 base list --json | jq -r '.bases[0].lock')" "$base"
  run -0 --separate-stderr as_user srun -w n3 --aq-requirements="$IT_SUBMIT/child.yaml" printenv AQ_LOCK
  assert_contains "$children" "$output"
}

# alone NODE WHY: it resolves alone, and says so once.
alone() {
  build "$1"
  assert_equal "$(grep -c "this node goes on alone" "$IT_DIR/$1.err")" 1
  assert_contains "$(cat "$IT_DIR/$1.err")" "shared_dir '$SHARED' $2"
}

# is_anothers: in three ways; it is gone then.
is_anothers() {
  mkdir -m 777 "$SHARED"
  alone n2 "cannot be used ('$SHARED' is user 0's with mode 0777: it must be"
  chmod 755 "$SHARED"
  alone n3 "cannot be used (cannot make directory 'locks': Permission denied"
  rmdir "$SHARED"
  install -d -o "$AQ_OTHER_USER" -m 755 "$SHARED"
  alone n4 "cannot be used ('$SHARED' is user "
  rmdir "$SHARED"
}

@test "a shared_dir that is missing, another's, read-only" {
  rmdir "$SHARED"
  alone n1 "cannot be used"
  ((SOME == 1)) || is_anothers
  install -d -o "$AQ_BUILDER_USER" -m 755 "$SHARED"
  build n1 --refresh
  assert_equal "$(locks)" "1 "
  it_forget
  mount --bind "$SHARED" "$SHARED"
  mount -o remount,ro,bind "$SHARED"
  build n2
  umount "$SHARED"
  assert_equal "$(it_attempts n2)" 0
}

@test "root needs to see nothing of it: it is squashed" {
  mkdir "$SHARED.real"
  chown "$AQ_BUILDER_USER" "$SHARED.real" "$SHARED"
  setpriv --reuid "$AQ_BUILDER_USER" --regid "$AQ_BUILDER_USER" --clear-groups \
    --inh-caps +dac_override,+sys_admin --ambient-caps +dac_override,+sys_admin \
    bindfs --no-allow-other "$SHARED.real" "$SHARED" 3>&-
  run ! ls "$SHARED"
  build n1
  build n2
  umount "$SHARED"
  assert_equal "$(solves)" 1
  rm -rf "$SHARED"
  mv "$SHARED.real" "$SHARED"
  assert_equal "$(locks)" "1 "
}

@test "a shared_dir that is mounted once it is looked at" {
  local server
  mv "$SHARED" "$SHARED.real"
  mkdir "$SHARED"
  python3 "$BATS_TEST_DIRNAME/automount.py" "$SHARED.real" "$SHARED" >"$IT_DIR/automount" 3>&- &
  server=$!
  wait_until 10 grep -q ready "$IT_DIR/automount"
  build n1
  kill "$server"
  wait "$server" || :
  rmdir "$SHARED"
  mv "$SHARED.real" "$SHARED"
  refute_contains "$(cat "$IT_DIR/n1.err")" "goes on alone"
  assert_equal "$(locks)" "1 "
}

@test "a shared_dir that hangs keeps nobody for long, and a build goes on without" {
  build n1
  package demo 2.0
  mv "$SHARED" "$SHARED.real"
  mkdir "$SHARED"
  bindfs "$SHARED.real" "$SHARED" 3>&-
  hangs
  alone n2 "does not answer"
  has n2 2.0
  if ((SOME > 1)); then hangs_later; fi
  go_on
  umount "$SHARED"
  rmdir "$SHARED"
  mv "$SHARED.real" "$SHARED"
}
# hangs_later: for doctor, and while it is resolved.
hangs_later() {
  run aq --node n2 doctor
  assert_contains "$output" "shared_dir '$SHARED': it does not answer"
  go_on
  it_forget
  rm -rf "$SHARED.real/locks"
  it_gate before solve
  start n3
  wait_until "$IT_JOB_SECONDS" it_is_at_gate
  hangs
  it_open
  finish n3
  assert_contains "$(cat "$IT_DIR/n3.err")" "this node goes on alone"
  kill -CONT "$(<"$IT_DIR/stopped")"
  # and what hung is gone
  wait_while "$IT_BEHIND_SECONDS" pgrep -u "$AQ_BUILDER_USER" -f "aq-builder .*$IT_DIR/"
}

@test "what is private never goes there" {
  local wheel
  "$AQ_LIB/make-wheel" "$IT_SUBMIT" mine 1.0 >/dev/null
  wheel=$(echo "$IT_SUBMIT"/mine-*.whl)
  chmod 644 "$wheel"
  echo 'policy = local=private' >>"$AQ_CONF"
  it_file mine.yaml <<<"{channels: [conda-forge], dependencies: [python=3.9, pip, {pip: ['mine @ file://$wheel']}]}" >/dev/null
  run -0 --separate-stderr as_user srun -w n1 --aq-requirements="$IT_SUBMIT/mine.yaml" printenv AQ_RESOLUTION
  assert_equal "$output" created
  refute_contains "$stderr" shared_dir
  [[ -z $(ls -A "$SHARED") ]]
}
