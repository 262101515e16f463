# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The accounts of a test cluster.  Sourced; as root.

readonly AQ_TEST_USER=aqtest     # submits jobs
readonly AQ_OTHER_USER=aqtest2   # another user, who must not be harmed
readonly AQ_BUILDER_USER=_aqbuild
readonly AQ_PROBE_USER=_aqprobe

# need_accounts: make those that are missing, with numbers of at most AQ_SYS_UID_MAX where
# that is set.
need_accounts() {
  local user numbers=()
  [[ -z ${AQ_SYS_UID_MAX-} ]] || numbers=(-K "SYS_UID_MAX=$AQ_SYS_UID_MAX" -K "SYS_GID_MAX=$AQ_SYS_UID_MAX")
  for user in "$AQ_TEST_USER" "$AQ_OTHER_USER"; do
    getent passwd "$user" >/dev/null && continue
    echo "  creating the account $user" >&2
    useradd "${numbers[@]}" --system --user-group --create-home --home-dir "/var/lib/$user" \
      --shell /bin/bash "$user"
  done
  for user in "$AQ_BUILDER_USER" "$AQ_PROBE_USER"; do
    getent passwd "$user" >/dev/null && continue
    echo "  creating the account $user" >&2
    useradd "${numbers[@]}" --system --user-group --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin "$user"
  done
}

# as_user [-u USER] [-C DIR] COMMAND... : run a command as somebody without rights, with
# an environment that holds nothing of ours but Slurm's configuration and the
# path.  It runs in DIR (the user's home); NAME=VALUE words before the command
# are added to the environment.
as_user() {
  local user=$AQ_TEST_USER home dir=
  while [[ ${1-} == -? ]]; do
    case $1 in
      -u) user=$2 ;;
      -C) dir=$2 ;;
    esac
    shift 2
  done
  home=$(getent passwd "$user" | cut -d: -f6)
  setpriv --reuid="$user" --regid="$user" --init-groups --reset-env \
    env -i --chdir="${dir:-$home}" HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash \
    LANG=C.UTF-8 PATH="$PATH" ${SLURM_CONF:+SLURM_CONF="$SLURM_CONF"} "$@"
}
