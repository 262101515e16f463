/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that this project does not call, as compile errors (git's idea).
 * Included before everything else by the compiler's command line; the system
 * headers that declare them come first.
 */
#ifndef AQ_BANNED_H
#define AQ_BANNED_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define AQ_BANNED(func) this_project_does_not_call_##func

/* unbounded, or bounded in a way that is easy to get wrong: common/str.h */
#undef strcpy
#define strcpy(x, y) AQ_BANNED(strcpy)
#undef strcat
#define strcat(x, y) AQ_BANNED(strcat)
#undef strncpy
#define strncpy(x, y, n) AQ_BANNED(strncpy)
#undef strncat
#define strncat(x, y, n) AQ_BANNED(strncat)
#undef stpcpy
#define stpcpy(x, y) AQ_BANNED(stpcpy)
#undef sprintf
#define sprintf(...) AQ_BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) AQ_BANNED(vsprintf)
#undef gets
#define gets(x) AQ_BANNED(gets)

/* hidden state */
#undef strtok
#define strtok(x, y) AQ_BANNED(strtok)
#undef gmtime
#define gmtime(t) AQ_BANNED(gmtime)
#undef localtime
#define localtime(t) AQ_BANNED(localtime)
#undef ctime
#define ctime(t) AQ_BANNED(ctime)
#undef asctime
#define asctime(t) AQ_BANNED(asctime)

/* a shell */
#undef system
#define system(x) AQ_BANNED(system)
#undef popen
#define popen(x, y) AQ_BANNED(popen)

/* no way to see an error */
#undef atoi
#define atoi(x) AQ_BANNED(atoi)
#undef atol
#define atol(x) AQ_BANNED(atol)
#undef atoll
#define atoll(x) AQ_BANNED(atoll)

/* a race */
#undef mktemp
#define mktemp(x) AQ_BANNED(mktemp)
#undef tmpnam
#define tmpnam(x) AQ_BANNED(tmpnam)

#endif
