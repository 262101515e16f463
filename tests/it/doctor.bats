#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # bats sets stderr
# aq doctor on a real installation: nothing is wrong; then one thing at a time is.
# And what users and root are told of the cache.

load lib

setup_file() { it_up; }
teardown_file() { it_down; }

setup() {
  it_begin
  cp -p "$AQ_CONF" "$BATS_TEST_TMPDIR/aq.conf"
  cp -p "$IT_DIR/etc/plugstack.conf" "$BATS_TEST_TMPDIR/plugstack.conf"
}

teardown() {
  it_restore "$BATS_TEST_TMPDIR/aq.conf" "$AQ_CONF"
  it_restore "$BATS_TEST_TMPDIR/plugstack.conf" "$IT_DIR/etc/plugstack.conf"
  it_end
}

doctor() { aq --node n1 doctor "$@"; }

# finds CHECK LEVEL TEXT REMEDY: the only finding of that check that is not ok, or
# with LEVEL ok one that is.
finds() {
  run --separate-stderr doctor --json
  jq -e --arg check "$1" --arg level "$2" --arg text "$3" --arg remedy "${4-}" '
    [.findings[] | select(.check == $check and (.level != "ok" or $level == "ok"))] |
    any(.level == $level and (.text | contains($text)) and ((.remedy // "") | contains($remedy)))
    and (length == 1 or $level == "ok")' <<<"$output" >/dev/null || {
    jq -c --arg check "$1" '.findings[] | select(.check == $check)' <<<"$output" >&2
    return 1
  }
  [[ $2 != error || $status -eq 3 ]]
}

@test "nothing is wrong with a cluster of the tests, but where its directories lie" {
  srun --aq-requirements="$(it_small)" true
  it_begin
  run -0 --separate-stderr doctor
  assert_equal "$(grep -c '^error' <<<"$output" || :)" 0
  # a node of the tests has no mount of its own
  assert_equal "$(grep '^warning' <<<"$output" | awk '{print $2}' | sort -u)" "file-systems"
  finds slurm ok "the plugin was compiled for"
  finds plugstack ok "optional $IT_INSTALL/lib/slurm/spank_aq.so"
  finds client ok "aq-rattler 0."
  finds channels ok "channel 'conda-forge': there, with its index"
  finds pip ok "uv 0."
  [[ $output != *"links what it fetches"* ]] # that is some conda clients' way
  finds links ok "hard links"
  finds state ok "nothing is left over"
  doctor --json | jq -e '.schema == 1 and .errors == 0 and .skipped == [] and
    (.findings | all(has("check") and has("level") and has("text") and has("remedy")))'
}

@test "a user is told what they may know, and what only root can tell" {
  run -0 --separate-stderr as_user AQ_CONF="$AQ_CONF" aq --node n1 doctor --json
  jq -e '.skipped == ["links", "namespaces", "groups", "credentials", "shared", "state"] and .errors == 0
    and (.findings | map(.check) | contains(["slurm", "plugstack", "accounts", "channels"]))' <<<"$output"
  run -0 as_user AQ_CONF="$AQ_CONF" aq --node n1 doctor
  assert_contains "$output" "only root can tell"
}

@test "a shared_dir that builds can use, and one that they cannot" {
  finds shared ok "no shared_dir"
  echo "shared_dir = $IT_DIR/shared" >>"$AQ_CONF"
  finds shared error "'$IT_DIR/shared' is not there" "install -d -o $AQ_BUILDER_USER -m 0755 $IT_DIR/shared"
  install -d -o "$AQ_OTHER_USER" -m 755 "$IT_DIR/shared"
  finds shared error "it must be $(id -u "$AQ_BUILDER_USER")'s" "one uid"
  chown "$AQ_BUILDER_USER" "$IT_DIR/shared"
  chmod 777 "$IT_DIR/shared"
  finds shared error "nobody else may write it"
  chmod 755 "$IT_DIR/shared"
  finds shared ok "'$AQ_BUILDER_USER' ($(id -u "$AQ_BUILDER_USER");"
  [[ -z $(find "$IT_DIR/shared" -type f) ]]
  chmod 777 "$IT_DIR/shared/packages"
  finds shared error "'packages' is user"
}

@test "an account that is missing, root's, or the other one" {
  echo "builder_user = aq-nobody-has-this" >>"$AQ_CONF"
  run -3 doctor
  assert_contains "$output" "there is no account 'aq-nobody-has-this'"
  assert_contains "$output" "-> useradd --system"
  echo "builder_user = root" >>"$AQ_CONF"
  finds accounts error "is root" "an account of its own"
  echo "builder_user = $AQ_PROBE_USER" >>"$AQ_CONF"
  finds accounts error "the same account" "two accounts"
  printf 'builder_user = %s\nprobe_user = %s\n' "$AQ_BUILDER_USER" "$AQ_TEST_USER" >>"$AQ_CONF"
  finds accounts warning "has a shell" "nologin"
}

@test "a directory that others may write, or that users cannot pass" {
  srun --aq-requirements="$(it_small)" true
  chmod 777 "$(it_cache n1)/meta"
  finds directories error "with mode 0777: it must be root's with 0700" "chmod 0700 '$(it_cache n1)/meta'"
  chmod 700 "$(it_cache n1)/meta" "$IT_DIR/nodes"
  run -3 doctor
  chmod 755 "$IT_DIR/nodes"
  assert_contains "$output" "users cannot pass '$IT_DIR/nodes'"
  assert_contains "$output" "-> chmod o+x '$IT_DIR/nodes'"
  finds directories ok "owners and modes"
}

@test "plugstack.conf without the line, with two, with 'required', with an include" {
  local stack=$IT_DIR/etc/plugstack.conf line
  line=$(<"$stack")
  echo '# nothing' >"$stack"
  finds plugstack error "no line of '$stack'" "optional spank_aq.so config=$AQ_CONF"
  printf '%s\n' "$line" "$line" >"$stack"
  finds plugstack error "$stack:2: the plugin is loaded a second time" "keep one"
  echo "${line/optional/required}" >"$stack"
  finds plugstack warning "'required'" "write 'optional'"
  echo "${line/spank_aq.so/absent\/spank_aq.so}" >"$stack"
  finds plugstack error "Slurm goes on without it" "spank_aq.so"
  echo "${line/aq.conf/other.conf}" >"$stack"
  finds plugstack warning "other.conf" "--config"
  mkdir -p "$IT_DIR/etc/more"
  echo "$line" >"$IT_DIR/etc/more/aq.conf"
  echo 'include more/*.conf' >"$stack"
  finds plugstack ok "more/aq.conf:1: optional"
}

@test "aq.conf: a key that there is not, a value that is none, others who may write" {
  echo 'max_sise = 5G' >>"$AQ_CONF"
  finds conf error "unknown key 'max_sise'" "write 'max_size'"
  sed -i 's/max_sise = 5G/max_size = much/' "$AQ_CONF"
  finds conf error "'much' is no size" "mend it"
  run -3 doctor
  assert_contains "$output" "aq.conf cannot be read"
  cp -p "$BATS_TEST_TMPDIR/aq.conf" "$AQ_CONF"
  chmod 666 "$AQ_CONF"
  finds conf error "can be written by others" "mend it"
  run -3 as_user AQ_CONF="$AQ_CONF" aq --node n1 doctor
  assert_contains "$output" "can be written by others"
}

@test "a channel that is gone, a client that is old or gone, an index that does not answer" {
  local old=$IT_DIR/bin/conda port
  echo "channels = conda-forge=file:///absent" >>"$AQ_CONF"
  finds channels error "'/absent' has no repodata.json" "mount or copy"
  read -r port < <(cluster_free_ports 1)
  echo "channels = x=http://127.0.0.1:$port/x" >>"$AQ_CONF"
  finds channels error "port $port" "see the network"
  printf '#!/bin/sh\necho conda 24.1.0\n' >"$old"
  chmod 755 "$old"
  echo "client = $old" >>"$AQ_CONF"
  finds client warning "CVE-2026-53940" "install 26.5.2 or newer"
  rm "$old"
  finds client error "is not there" "install"
  echo "pip_index = http://127.0.0.1:$port/simple" >>"$AQ_CONF"
  finds pip error "pip_index: '127.0.0.1', port $port" "reachable"
}

@test "what is damaged or left over is named with its remedy" {
  srun --aq-requirements="$(it_small)" true
  it_begin
  touch "$IT_DIR/nodes/n1/run/refs.db.corrupt-1"
  finds state warning "refs.db.corrupt-1" "what was counted and noted"
  rm "$IT_DIR/nodes/n1/run/refs.db.corrupt-1"
  touch "$(it_cache n1)/cache.db.corrupt-1"
  finds state warning "cache.db.corrupt-1" "remove it"
  rm "$(it_cache n1)/cache.db.corrupt-1"
  mkdir "$(it_cache n1)/envs/0123456789abcdef0123-1"
  finds state warning "belong to no row" "aq gc"
  mv "$(it_cache n1)/envs/0123456789abcdef0123-1" "$(it_cache n1)/trash/"
  finds state warning "wait in trash/" "aq gc"
  it_gc n1
  finds state ok "nothing is left over"
  echo "min_free = 100000T" >>"$AQ_CONF"
  finds space warning "less than min_free" "aq gc"
}

# held_by NAME JOB STEP: whether aq show says so
held_by() {
  aq --node n1 show "$1" --json |
    jq -e --argjson job "$2" --arg step "$3" '.references > 0 and
      (.held_by | any(.job == $job and .step == $step and .node == "n1" and .by_request == false))'
}

is_in_index() { as_user AQ_CONF="$AQ_CONF" aq --node n1 list --shared | grep "^$1 " >/dev/null; }

@test "a user reads the node's cache by its public index; root sees which step holds what" {
  local job name
  job=$(it_submit -w n1 --aq-requirements="$(it_small)" --wrap "while [ ! -e $IT_SUBMIT/go ]; do sleep 0.1; done")
  wait_until "$IT_JOB_SECONDS" it_job_is RUNNING "$job"
  wait_until "$IT_JOB_SECONDS" test -e "$IT_DIR/nodes/n1/run-public/index"
  name=$(aq --node n1 list --json | jq -r '.environments[0].name')
  wait_until "$IT_JOB_SECONDS" is_in_index "$name"
  wait_until "$IT_JOB_SECONDS" held_by "$name" "$job" batch
  run -0 aq --node n1 show "$name"
  assert_contains "$output" "held by     step $job.batch on n1"
  touch "$IT_SUBMIT/go"
  it_wait "$job"
  it_begin
  aq --node n1 list --json | jq -e '.environments[0].references == 0'
  run ! as_user cat "$(it_cache n1)/cache.db"
}
