# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What this machine's owner has set up for fetching packages, as settings for
# aq.conf: a cluster started here takes packages from where the machine does.
# Sourced.

# machine_settings: print "--set" and "KEY=VALUE" lines for cluster_up.
machine_settings() {
  local index links certificates proxy
  index=$(machine_pip index-url)
  links=$(machine_pip find-links)
  certificates=${SSL_CERT_FILE:-$(machine_pip cert)}
  proxy=${https_proxy:-${HTTPS_PROXY:-$(machine_pip proxy)}}
  [[ -z $index ]] || printf '%s\n' --set "pip_index=$index"
  [[ -z $links ]] || printf '%s\n' --set "find_links=${links//$'\n'/ }"
  [[ -z $certificates ]] || printf '%s\n' --set "ca_bundle=$certificates"
  [[ -z $proxy ]] || printf '%s\n' --set "proxy=$proxy"
}

# machine_pip OPTION: what pip takes it from: its environment variable, else
# its configuration files; empty if neither says anything.
machine_pip() {
  local variable=PIP_${1^^}
  variable=${variable//-/_}
  if [[ -n ${!variable-} ]]; then
    echo "${!variable}"
  else
    python3 -m pip config get "global.$1" 2>/dev/null || :
  fi
}

# reachable_client PATH DIR: print a path of that client which the builder's
# account can run: itself, or a copy in DIR.
reachable_client() {
  local client
  client=$(command -v "$1" | xargs -r readlink -f)
  if [[ ! -x $client ]]; then
    echo "there is no program '$1'" >&2
    return 1
  fi
  need_accounts || return
  if ! setpriv --reuid="$AQ_BUILDER_USER" --regid="$AQ_BUILDER_USER" --clear-groups \
    "$client" --version >/dev/null 2>&1; then
    # one file is enough of rattler and micromamba; conda is a script of its
    # installation
    if [[ $(head -c 2 "$client") == '#!' ]]; then
      echo "the account $AQ_BUILDER_USER cannot run '$client': install it where all users can" >&2
      return 1
    fi
    mkdir -p "$2"
    install -m 755 "$client" "$2/"
    client=$2/${client##*/}
  fi
  echo "$client"
}
