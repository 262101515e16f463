#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What Slurm maps into every process of every job: it exports its hooks and
# nothing else (a program's own global of the same name would replace ours),
# and needs no library but the C library's, and nothing of ours that it has not.
set -eu

echo 1..4
hooks='plugin_name plugin_type plugin_version slurm_spank_exit slurm_spank_init
slurm_spank_init_post_opt slurm_spank_job_epilog slurm_spank_job_prolog
slurm_spank_task_init slurm_spank_task_init_privileged
slurm_spank_task_post_fork spank_plugin_version'
phases='aq_phase_epilog aq_phase_forget aq_phase_stage
aq_phase_submit'

exported() { nm -D --defined-only "$1" | awk '{print $3}' | LC_ALL=C sort | tr '\n' ' '; }

# is WHAT GOT WANTED
is() {
  wanted=$(printf '%s' "$3" | tr '\n' ' ')
  if [ "$2" = "$wanted " ] || [ "$2" = "$wanted" ]; then
    echo "ok - $1"
  else
    echo "not ok - $1"
    echo "# got $2"
  fi
}

rim=$AQ_BUILDDIR/.libs/spank_aq.so
needed=$(readelf -d "$rim" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
  grep -v -e '^libc\.so' -e '^libdl\.so' -e '^lib[a-z]*san\.so' -e '^ld-linux' || :)
is "the plugin exports its hooks only" "$(exported "$rim")" "$hooks"
is "the library exports the phases only" "$(exported "$(ls "$AQ_BUILDDIR"/.libs/libaq-*.so)")" "$phases"
is "the plugin needs only the C library" "$needed" ""
is "the plugin has all of ours that it uses" "$(nm -D --undefined-only "$rim" | awk '$2 ~ /^(aq|rim)_/ {print $2}')" ""
