# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The builder of tests that has no cage (tests/it/uncaged.c).  Sourced.

# uncaged INSTALL COMMAND...: run it where that builder is in place of the
# install's, for this command alone.
uncaged() {
  # shellcheck disable=SC2016 # the inner shell's
  unshare --mount sh -c \
    'mount --bind "$0/tests/aq-builder-uncaged" "$0/libexec/slurm-aq/aq-builder" && exec "$@"' "$@"
}
