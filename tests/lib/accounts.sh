# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The accounts of a test cluster.  Sourced; as root.

readonly AQ_TEST_USER=aqtest     # submits jobs
readonly AQ_OTHER_USER=aqtest2   # another user, who must not be harmed
readonly AQ_BUILDER_USER=_aqbuild
readonly AQ_PROBE_USER=_aqprobe

# need_accounts: make those that are missing.
need_accounts() {
  local user
  for user in "$AQ_TEST_USER" "$AQ_OTHER_USER"; do
    getent passwd "$user" >/dev/null && continue
    echo "  creating the account $user" >&2
    useradd --system --user-group --create-home --home-dir "/var/lib/$user" \
      --shell /bin/bash "$user"
  done
  for user in "$AQ_BUILDER_USER" "$AQ_PROBE_USER"; do
    getent passwd "$user" >/dev/null && continue
    echo "  creating the account $user" >&2
    useradd --system --user-group --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin "$user"
  done
}

# as_user [USER] COMMAND... : run a command as somebody without rights, with
# an environment that holds nothing of ours but Slurm's configuration and the
# path.  NAME=VALUE words before the command are added to it.
as_user() {
  local user=$AQ_TEST_USER home
  if [[ ${1-} == "$AQ_OTHER_USER" ]]; then
    user=$1
    shift
  fi
  home=$(getent passwd "$user" | cut -d: -f6)
  setpriv --reuid="$user" --regid="$user" --init-groups --reset-env \
    env -i -C "$home" HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash \
    LANG=C.UTF-8 PATH="$PATH" ${SLURM_CONF:+SLURM_CONF="$SLURM_CONF"} "$@"
}
