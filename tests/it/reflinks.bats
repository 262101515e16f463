#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A cache on a file system with reflinks, where files are shared without hard
# links: sizes and byte-code.
# shellcheck disable=SC2154 # bats sets stderr

load lib

setup_file() {
  it_up
  local lib=$IT_DIR/nodes/n1/lib
  mkdir -p "$lib"
  truncate -s 4G "$IT_DIR/xfs.img"
  mkfs.xfs -q -m reflink=1 "$IT_DIR/xfs.img"
  mount -o loop "$IT_DIR/xfs.img" "$lib"
  chmod 755 "$lib"
}
teardown_file() {
  wait_while "$IT_BEHIND_SECONDS" it_has_workers n1 || :
  ! mountpoint -q "$IT_DIR/nodes/n1/lib" || umount "$IT_DIR/nodes/n1/lib"
  it_down
}
setup() { it_begin; }
teardown() { it_end; }

used_kb() {
  sync -f "$(it_cache n1)"
  df --output=used "$(it_cache n1)" | tail -n 1
}

# size FILE WHICH: of the request's environment, in KiB
size() { echo $(($(aq --node n1 show --json "$1" | it_number "$2") / 1024)); }

@test "what reflinks share is not called new, and has byte-code" {
  local base file before grown own shared
  base=$(it_file base.yaml <<<'{dependencies: [python=3.9, pip, numpy]}')
  file=$(it_file linked.yaml <<<'{dependencies: [python=3.9, pip, numpy, pandas]}')
  aq --node n1 base add 3.9 --file "$base"
  before=$(used_kb)
  run -0 --separate-stderr aq --node n1 build "$file"
  assert_contains "$output" linked
  wait_until "$IT_BEHIND_SECONDS" is_compiled "$file"
  grown=$(($(used_kb) - before))
  own=$(size "$file" size_own)
  shared=$(size "$file" size_shared)
  # much is shared: with the base, by the package cache
  ((shared > 5 * own)) || { echo "own $own, shared $shared" >&2; false; }
  # pandas is new to the cache, the rest is not new to the disk
  ((grown < shared)) || { echo "grown $grown, shared $shared" >&2; false; }
  # the second time nothing but directories and copies is
  before=$(used_kb)
  aq --node n1 build --refresh "$(it_file other.yaml <<<'{dependencies: [python=3.9, pip, numpy, pandas, six]}')"
  grown=$(($(used_kb) - before))
  ((grown < shared / 2)) || { echo "grown $grown, shared $shared" >&2; false; }
}
is_compiled() {
  local prefix
  prefix=$(aq --node n1 show --json "$1" | it_number prefix)
  [[ -e $prefix/lib/python3.9/site-packages/pandas/core/__pycache__/frame.cpython-39.pyc ]]
}
