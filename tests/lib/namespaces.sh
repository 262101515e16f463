# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Processes and mounts of a command's own.  Sourced; as root.

# IN_NAMESPACES [OPTION]... COMMAND...: what to run it with: its mounts and processes (and
# what OPTION, unshare(1)'s, adds) end with it and with who started it, even if that is killed.
# shellcheck disable=SC2034 # of who sources this
readonly IN_NAMESPACES=(setpriv --pdeathsig KILL
  unshare --mount --propagation private --pid --fork --kill-child --mount-proc)
