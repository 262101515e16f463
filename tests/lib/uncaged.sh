# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The builders of tests: one has no cage (tests/it/uncaged.c), one refuses nothing
# that packages bring (tests/it/unsealed.c).  Sourced.

# uncaged INSTALL COMMAND...: run it where the first is in place of the install's,
# for this command alone; unsealed: the second.
uncaged() { with_builder "$1" uncaged "${@:2}"; }
unsealed() { with_builder "$1" unsealed "${@:2}"; }

with_builder() {
  # shellcheck disable=SC2016 # the inner shell's
  unshare --mount sh -c \
    'mount --bind "$0/tests/aq-builder-$1" "$0/libexec/slurm-aq/aq-builder" && shift && exec "$@"' "$@"
}
