# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Which files of tests/it ./check runs on this machine's Debian alone; ./check --long runs
# them on every one.  The kernel is the same there, and so are the programs that
# resolve, fetch and install (tests/lib/tools.txt), the channel, and the Python of
# environments.  What differs is Slurm, libc, SQLite, OpenSSL, the compiler, and the Python
# that the bundled client runs on: where that reaches a file is in no way that another
# does not have, too, it is here, with the reason.  Sourced.
AQ_ONCE='
bases            as inherit
channel          what clients make of a bad network; what they are told path has
clients          dialects, which a stand-in reads
harness          the scripts of the tests
inherit          pip requirements over a base: uv, and the Python of environments; aq,
                 fetch, gc, secrets and steps inherit too
layers           as inherit, damaged
lock             text, which the client reads
packages         what archives bring into the package cache, which clients fill
reflinks         a file system of the kernel
seal             what packages bring, a file each; each build of the other files is sealed
shared           files between nodes; what fetch builds is from there
shared_archives  as shared
verify           files of environments against what packages say; each run of faults and
                 power ends with it
'
readonly AQ_ONCE

# files_elsewhere short|long: the files of tests/it for another Debian, from the checkout.
files_elsewhere() {
  local file name
  for file in tests/it/*.bats; do
    name=${file##*/}
    [[ $1 == short && $AQ_ONCE == *$'\n'"${name%.bats} "* ]] || echo "$file"
  done
}
