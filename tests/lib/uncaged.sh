# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The builders of tests, each in place of an install's for one command: without a cage
# (tests/it/uncaged.c), one that refuses nothing that packages bring
# (tests/it/unsealed.c), one whose calls fail as CONF.faults says
# (tests/it/failing.c).  Sourced.

# uncaged INSTALL COMMAND..., and so on: run it there.
uncaged() { with_builder "$1" uncaged "${@:2}"; }
unsealed() { with_builder "$1" unsealed "${@:2}"; }
failing() { with_builder "$1" failing "${@:2}"; }

with_builder() {
  # shellcheck disable=SC2016 # the inner shell's
  unshare --mount sh -c \
    'mount --bind "$0/tests/aq-builder-$1" "$0/libexec/slurm-aq/aq-builder" && shift && exec "$@"' "$@"
}
