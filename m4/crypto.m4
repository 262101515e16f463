# SPDX-License-Identifier: Apache-2.0

# AQ_CRYPTO: libcrypto, of which SHA-256 is all that is needed.  Where its static
# archive is installed just that is linked in: the shared library costs 0.7 ms
# in each process that loads it, and every hook of a job is one.
AC_DEFUN([AQ_CRYPTO], [
  AC_ARG_WITH([shared-libcrypto],
    [AS_HELP_STRING([--with-shared-libcrypto], [load libcrypto.so even where libcrypto.a could be linked])],
    [], [with_shared_libcrypto=no])
  PKG_CHECK_MODULES([CRYPTO], [libcrypto >= 1.1.1])
  aq_crypto=shared
  CRYPTO_MODULE_LIBS=$CRYPTO_LIBS
  AC_SUBST([CRYPTO_MODULE_LIBS])
  AS_IF([test "x$with_shared_libcrypto" = xno], [
    AC_MSG_CHECKING([whether SHA-256 of libcrypto.a goes into shared objects])
    aq_saved_LIBS=$LIBS
    aq_saved_CFLAGS=$CFLAGS
    aq_archive=`$CC $CFLAGS \`$PKG_CONFIG --libs-only-L libcrypto\` -print-file-name=libcrypto.a`
    LIBS="$aq_archive $LIBS"
    CFLAGS="$CFLAGS $CRYPTO_CFLAGS -fPIC -shared -Wl,-z,defs"
    AC_LINK_IFELSE([AC_LANG_SOURCE([[
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
int f(SHA256_CTX *c, const void *m, unsigned char *d);
int f(SHA256_CTX *c, const void *m, unsigned char *d)
{ return SHA256_Init(c) && SHA256_Update(c, m, 1) && SHA256_Final(d, c); }
]])],
      [aq_crypto=static
       CRYPTO_LIBS=$aq_archive
       # libtool warns of archives in shared objects, and lets this pass
       CRYPTO_MODULE_LIBS="`$PKG_CONFIG --libs-only-L libcrypto` -Wl,-l:libcrypto.a"])
    LIBS=$aq_saved_LIBS
    CFLAGS=$aq_saved_CFLAGS
    AC_MSG_RESULT([$aq_crypto])
  ])
])
