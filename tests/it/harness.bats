#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The test harness itself: a sum of tests that hides a failure is worse than
# no tests.

bats_require_minimum_version 1.5.0

setup() {
  LIB=$BATS_TEST_DIRNAME/../lib
  for part in tap counts wait cache accounts cluster once namespaces; do
    # shellcheck source=/dev/null
    . "$LIB/$part.sh"
  done
}

# sum TEXT: what tap_count makes of a program's output
sum() {
  printf '%s\n' "$1" >"$BATS_TEST_TMPDIR/x.tap"
  tap_count "$BATS_TEST_TMPDIR/x.tap"
}

@test "passes, failures and skips are counted" {
  [[ $(sum $'1..4\nok 1 a\nnot ok 2 b\n# why\nok 3 c # SKIP no root\nok 4 d') == "2 1 1" ]]
}

@test "a program that skips everything is one skip" {
  [[ $(sum "1..0 # SKIP no root") == "0 0 1" ]]
}

@test "a program that dies before its plan is through has failed" {
  [[ $(sum $'1..3\nok 1 a\nok 2 b') == "2 1 0" ]]
}

@test "a program that says nothing has failed" {
  [[ $(sum "Segmentation fault") == "0 1 0" ]]
}

@test "an empty file has failed" {
  : >"$BATS_TEST_TMPDIR/empty.tap"
  [[ $(tap_count "$BATS_TEST_TMPDIR/empty.tap") == "0 1 0" ]]
}

@test "several plans in one file are several programs" {
  [[ $(sum $'1..2\nok 1 a\nok 2 b\n1..2\nok 1 a') == "3 1 0" ]]
}

@test "files are added up" {
  printf '1..1\nok 1 a\n' >"$BATS_TEST_TMPDIR/a.tap"
  printf '1..1\nnot ok 1 a\n' >"$BATS_TEST_TMPDIR/b.tap"
  [[ $(tap_count "$BATS_TEST_TMPDIR/a.tap" "$BATS_TEST_TMPDIR/b.tap") == "1 1 0" ]]
}

@test "counts are small in a check and large in a long one" {
  export_counts short
  [[ $AQ_COUNT_PAIRS -ge 100000 ]]
  small=$AQ_COUNT_PAIRS
  export_counts long
  [[ $AQ_COUNT_PAIRS -gt $small ]]
}

@test "waiting ends with the condition, or says what never came" {
  wait_until 5 true
  run ! wait_until 0 false
  [[ $output == *"false"* ]]
}

@test "a cache entry appears only when it is whole, and is made once" {
  AQ_CACHE=$BATS_TEST_TMPDIR/cache
  half() { touch "$1/half" && return 1; }
  whole() { touch "$1/whole" && echo made >>"$BATS_TEST_TMPDIR/made"; }
  run ! cache_get entry half
  [[ ! -e $AQ_CACHE/entry ]]
  [[ $(cache_get entry whole) == "$AQ_CACHE/entry" && -e $AQ_CACHE/entry/whole ]]
  for _ in 1 2 3; do cache_get other whole >/dev/null & done
  wait
  [[ $(wc -l <"$BATS_TEST_TMPDIR/made") == 2 ]]
}

@test "what nobody has used for days goes from the cache; nothing else does" {
  AQ_CACHE=$BATS_TEST_TMPDIR/cache
  made() { touch "$1/made"; }
  local name
  for name in check-old check-new check-locked; do cache_get "$name" made; done
  mkdir -p "$AQ_CACHE"/{install-unnoted,somebodys,build/old}
  cache_used build/old
  touch -d "4 days ago" "$AQ_CACHE"/somebodys "$AQ_CACHE"/locks/{check-old,check-locked,build-old}
  exec 9>>"$AQ_CACHE/locks/check-locked"
  flock 9
  cache_tidy 9>&-
  [[ ! -e $AQ_CACHE/check-old && ! -e $AQ_CACHE/build/old ]]
  [[ -d $AQ_CACHE/check-new && -d $AQ_CACHE/check-locked && -d $AQ_CACHE/somebodys ]]
  # it was not known when that was used last
  [[ -d $AQ_CACHE/install-unnoted && -e $AQ_CACHE/locks/install-unnoted ]]
  # to ask for it is to use it
  exec 9>&-
  cache_get check-locked false
  cache_tidy
  [[ -d $AQ_CACHE/check-locked ]]
}

@test "a recipe's name follows its files and their content" {
  mkdir "$BATS_TEST_TMPDIR/recipe"
  echo a >"$BATS_TEST_TMPDIR/recipe/file"
  first=$(cache_recipe "$BATS_TEST_TMPDIR/recipe")
  [[ $(cache_recipe "$BATS_TEST_TMPDIR/recipe") == "$first" ]]
  echo b >"$BATS_TEST_TMPDIR/recipe/file"
  [[ $(cache_recipe "$BATS_TEST_TMPDIR/recipe") != "$first" ]]
}

@test "a cluster is not written over somebody's directory" {
  touch "$BATS_TEST_TMPDIR/precious"
  run ! cluster_is_usable_dir "$BATS_TEST_TMPDIR"
  [[ $output == *"holds something else"* ]]
  mkdir "$BATS_TEST_TMPDIR/new"
  cluster_is_usable_dir "$BATS_TEST_TMPDIR/new"
}

@test "what runs apart sees nobody else, has its own ports and disk, and ends with its command" {
  [[ $EUID -eq 0 ]] || skip "namespaces need root"
  mkdir -m 1777 "$BATS_TEST_TMPDIR/disk"
  sleep 301 3>&- &
  # shellcheck disable=SC2016 # its own
  run -3 "$LIB/apart" --disk "$BATS_TEST_TMPDIR/disk" bash -c '
    ! pgrep -f "^sleep 301" || exit 1
    [[ $(ip -o link | wc -l) -eq 1 ]] || exit 1
    ! mountpoint -q "$0" || [[ $(stat -fc %T "$0") == ext2/ext3 ]] || exit 1
    touch "$0/file" && [[ $(stat -c %a "$0") == 1777 ]] || exit 1
    setsid sleep 302 3>&- &
    until pgrep -f "^sleep 302"; do sleep 0.02; done
    exit 3' "$BATS_TEST_TMPDIR/disk"
  pgrep -f "^sleep 301"
  run ! pgrep -f "^sleep 302"
  run ! grep "$BATS_TEST_TMPDIR" /proc/self/mountinfo
  kill "$!"
}

@test "what is run on one Debian alone are files of tests/it" {
  cd "$BATS_TEST_DIRNAME/../.."
  local once
  once=$(comm -13 <(files_elsewhere short) <(files_elsewhere long))
  [[ $once == *tests/it/harness.bats* ]]
  [[ $(wc -l <<<"$once") -eq $(grep -c '^[a-z]' <<<"$AQ_ONCE") ]]
}
