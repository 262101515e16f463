# SPDX-License-Identifier: Apache-2.0

# AQ_CHECK_SLURM: find slurm/spank.h, its version, and the directory from
# which that Slurm loads its plugins.  A plugin must be compiled against the
# Slurm that loads it.
AC_DEFUN([AQ_CHECK_SLURM], [
  AC_ARG_WITH([slurm],
    [AS_HELP_STRING([--with-slurm=PREFIX], [where Slurm is installed (default: found by pkg-config or in /usr, /usr/local, /opt/slurm)])],
    [], [with_slurm=auto])
  AC_ARG_WITH([slurm-plugindir],
    [AS_HELP_STRING([--with-slurm-plugindir=DIR], [where that Slurm looks for its plugins (default: next to its own)])],
    [], [with_slurm_plugindir=auto])

  SLURM_CPPFLAGS=
  SLURM_PREFIX=
  AS_IF([test "x$with_slurm" != xauto && test "x$with_slurm" != xyes],
    [aq_slurm_candidates=$with_slurm],
    [aq_slurm_candidates="`$PKG_CONFIG --variable=prefix slurm 2>/dev/null` /usr /usr/local /opt/slurm"])
  for aq_dir in $aq_slurm_candidates; do
    AS_IF([test -f "$aq_dir/include/slurm/spank.h"], [SLURM_PREFIX=$aq_dir; break])
  done
  AS_IF([test -z "$SLURM_PREFIX"],
    [AC_MSG_ERROR([cannot find slurm/spank.h: install Slurm's headers (Debian: libslurm-dev, Red Hat: slurm-devel) or say --with-slurm=PREFIX])])
  AS_IF([test "$SLURM_PREFIX" != /usr], [SLURM_CPPFLAGS="-I$SLURM_PREFIX/include"])
  AC_SUBST([SLURM_CPPFLAGS])
  AC_SUBST([SLURM_PREFIX])

  AC_MSG_CHECKING([the version of Slurm in $SLURM_PREFIX])
  aq_saved_CPPFLAGS=$CPPFLAGS
  CPPFLAGS="$CPPFLAGS $SLURM_CPPFLAGS"
  AC_COMPUTE_INT([aq_number], [SLURM_VERSION_NUMBER], [#include <slurm/slurm_version.h>], [aq_number=0])
  CPPFLAGS=$aq_saved_CPPFLAGS
  SLURM_VERSION_FOUND=`printf '%d.%02d.%d' $((aq_number >> 16)) $(((aq_number >> 8) & 255)) $((aq_number & 255))`
  AC_MSG_RESULT([$SLURM_VERSION_FOUND])
  AC_SUBST([SLURM_VERSION_FOUND])

  AC_MSG_CHECKING([where that Slurm loads plugins from])
  AS_IF([test "x$with_slurm_plugindir" != xauto], [slurmplugindir=$with_slurm_plugindir], [
    slurmplugindir=
    aq_multiarch=`$CC -print-multiarch 2>/dev/null`
    for aq_dir in "$SLURM_PREFIX/lib/$aq_multiarch/slurm-wlm" "$SLURM_PREFIX/lib/$aq_multiarch/slurm" \
                  "$SLURM_PREFIX/lib64/slurm" "$SLURM_PREFIX/lib/slurm" "$SLURM_PREFIX/lib/slurm-wlm"; do
      AS_IF([test -f "$aq_dir/auth_munge.so" || test -f "$aq_dir/select_cons_tres.so"], [slurmplugindir=$aq_dir; break])
    done
    AS_IF([test -z "$slurmplugindir"], [slurmplugindir='${libdir}/slurm'])
  ])
  AC_MSG_RESULT([$slurmplugindir])
  AC_SUBST([slurmplugindir])
])

# AQ_BASH_COMPLETION: where bash-completion looks for what programs of our prefix
# complete; not where its own lie, which may be outside of the prefix.
AC_DEFUN([AQ_BASH_COMPLETION], [
  AC_ARG_WITH([bash-completion-dir],
    [AS_HELP_STRING([--with-bash-completion-dir=DIR], [where bash's completion of aq goes, or 'no' (default: DATADIR/bash-completion/completions)])],
    [], [with_bash_completion_dir=yes])
  AS_CASE([$with_bash_completion_dir],
    [yes], [bashcompletiondir='${datadir}/bash-completion/completions'],
    [bashcompletiondir=$with_bash_completion_dir])
  AM_CONDITIONAL([BASH_COMPLETION], [test "x$with_bash_completion_dir" != xno])
  AC_SUBST([bashcompletiondir])
])

# AQ_SANITIZE: --enable-sanitize builds everything but the plugin's rim with
# ASan and UBSan (Slurm's programs cannot load a sanitized plugin without a
# preload; the rim's logic is sanitized in the unit tests and the fake).
# --enable-fuzzing adds what libFuzzer wants, for `make fuzz`, which makes a
# build of its own for it.
AC_DEFUN([AQ_SANITIZE], [
  AC_ARG_ENABLE([sanitize],
    [AS_HELP_STRING([--enable-sanitize], [build with AddressSanitizer and UBSan])],
    [], [enable_sanitize=no])
  AC_ARG_ENABLE([fuzzing],
    [AS_HELP_STRING([--enable-fuzzing], [build tests/fuzz for libFuzzer and with the sanitizers; needs CC=clang])],
    [], [enable_fuzzing=no])
  FUZZ_LDFLAGS=
  AS_IF([test "x$enable_fuzzing" = xyes], [enable_sanitize=yes])
  AS_IF([test "x$enable_sanitize" = xyes],
    [SANITIZE_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1"
     SANITIZE_LDFLAGS="-fsanitize=address,undefined"])
  AS_IF([test "x$enable_fuzzing" = xyes],
    [SANITIZE_CFLAGS="$SANITIZE_CFLAGS -O2 -fsanitize=fuzzer-no-link -DAQ_LIBFUZZER"
     FUZZ_LDFLAGS="-fsanitize=fuzzer"])
  AM_CONDITIONAL([SANITIZE], [test "x$enable_sanitize" = xyes])
  AC_SUBST([SANITIZE_CFLAGS])
  AC_SUBST([SANITIZE_LDFLAGS])
  AC_SUBST([FUZZ_LDFLAGS])
])

# AQ_WARNINGS: what flux and systemd have; errors with --enable-werror (CI).
AC_DEFUN([AQ_WARNINGS], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make warnings errors])], [], [enable_werror=no])
  WARN_CFLAGS="-Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wswitch-enum -Wformat=2 -Wpointer-arith -Wvla -Wundef -Wno-format-truncation -fno-strict-aliasing"
  HARDEN_CFLAGS="-fstack-protector-strong -fPIC"
  AS_IF([test "x$enable_sanitize" != xyes], [HARDEN_CFLAGS="$HARDEN_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
  AS_IF([test "x$enable_werror" = xyes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
  AC_SUBST([WARN_CFLAGS])
  AC_SUBST([HARDEN_CFLAGS])
])
