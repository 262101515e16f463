# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Processes, mounts and a disk of a command's own.  Sourced; as root.

# IN_NAMESPACES [OPTION]... COMMAND...: what to run it with: its mounts and processes (and
# what OPTION, unshare(1)'s, adds) end with it and with who started it, even if that is killed.
# shellcheck disable=SC2034 # of who sources this
readonly IN_NAMESPACES=(setpriv --pdeathsig KILL
  unshare --mount --propagation private --pid --fork --kill-child --mount-proc)

readonly DISK_SHARE=5  # of the memory that is available: the lanes of ./check, and what they run
readonly DISK_MIB=2048 # less is too little for some file of tests

# mount_disk DIR: a file system of its own, on a disk that is in memory where there is enough;
# else DIR stays what it is.  Its flushes wait for nobody else's writes, and it is gone with
# the last namespace that has it.  It is ext4, as nodes have, and not tmpfs.
mount_disk() {
  local mib mode
  mib=$(awk -v share="$DISK_SHARE" '/^MemAvailable:/ { print int($2 / 1024 / share) }' /proc/meminfo)
  ((mib >= DISK_MIB)) || return 0
  mode=$(stat -c %a "$1")
  mount -t tmpfs -o "size=${mib}m" aq-disk "$1"
  truncate -s "${mib}M" "$1/disk"
  mkfs.ext4 -q "$1/disk"
  mount -o loop,discard "$1/disk" "$1"
  chmod "$mode" "$1"
}
