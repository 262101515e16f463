# SPDX-License-Identifier: Apache-2.0

# AQ_LIBRARY(VARIABLE, MODULE, ARCHIVE, MORE, INCLUDES, EXPRESSION): the
# library that pkg-config calls MODULE.  Where its static archive is installed,
# and can be part of a shared object that hides it, what is needed of it is linked in: each hook
# of each job is a process that would load the shared one, and symbols that are
# looked up cost more there than what a hit does.  Together 1 ms, 0.7 of it
# libcrypto's.
# VARIABLE_LIBS is for programs, VARIABLE_MODULE_LIBS for what dlopen(3) loads
# (libtool warns of archives in shared objects, and lets this form pass).
AC_DEFUN([AQ_LIBRARY], [
  PKG_CHECK_MODULES([$1], [$2])
  $1_MODULE_LIBS=$$1_LIBS
  AS_IF([test "x$with_shared_libraries" = xno], [
    AC_MSG_CHECKING([whether $3 can be part of shared objects])
    aq_saved_LIBS=$LIBS
    aq_saved_CFLAGS=$CFLAGS
    aq_archive=`$CC $CFLAGS $$1_LIBS -print-file-name=$3`
    LIBS="-Wl,$aq_archive$4 $LIBS"
    CFLAGS="$CFLAGS $$1_CFLAGS -fPIC -shared -Wl,-z,defs -Wl,-Bsymbolic -Wl,--exclude-libs,ALL"
    AC_LINK_IFELSE([AC_LANG_SOURCE([[
$5
int f(void *p);
int f(void *p) { return $6; }
]])],
      [$1_LIBS="$aq_archive m4_bpatsubst([$4], [,], [ ])"
       $1_MODULE_LIBS="`AS_ECHO(["$$1_MODULE_LIBS"]) | $SED 's/^-l[[^ ]]*//;s/ -l[[^ ]]*/ /g'` -Wl,-l:$3$4"
       AC_MSG_RESULT([yes])
       aq_static="$aq_static $3"],
      [AC_MSG_RESULT([no])])
    LIBS=$aq_saved_LIBS
    CFLAGS=$aq_saved_CFLAGS
  ])
  AC_SUBST([$1_MODULE_LIBS])
])

# AQ_LIBRARIES: each is included by one file of common/ only.
AC_DEFUN([AQ_LIBRARIES], [
  AC_ARG_WITH([shared-libraries],
    [AS_HELP_STRING([--with-shared-libraries], [load libyaml, sqlite3 and libcrypto at run time, as distributions want it, even where their static archives could be linked])],
    [], [with_shared_libraries=no])
  aq_static=
  AQ_LIBRARY([YAML], [yaml-0.1 >= 0.2.1], [libyaml.a], [],
    [#include <yaml.h>], [yaml_parser_initialize(p)])
  AQ_LIBRARY([SQLITE], [sqlite3 >= 3.34], [libsqlite3.a], [,-lm],
    [#include <sqlite3.h>], [sqlite3_open("", p)])
  AQ_LIBRARY([CRYPTO], [libcrypto >= 1.1.1], [libcrypto.a], [],
    [#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>],
    [SHA256_Init(p) && SHA256_Update(p, p, 1) && SHA256_Final(p, p)])
  AS_IF([test -z "$aq_static"], [aq_static=" none"])
])
