/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership by scope: an owner starts empty and is released when its scope
 * ends, unless steal()ed (systemd's and bubblewrap's idiom).  errno survives.
 */
#ifndef AQ_CLEANUP_H
#define AQ_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <dirent.h>

#define AQ_CHECK __attribute__((warn_unused_result))
#define AQ_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Take the value out of an owner, leaving it empty. */
#define steal(ptr)                                                             \
	({                                                                     \
		__typeof__(*(ptr)) stolen_ = *(ptr);                           \
		*(ptr) = (__typeof__(*(ptr)))0;                                \
		stolen_;                                                       \
	})

/* The same for a descriptor: an empty owner holds -1. */
static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline void aq_close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static inline void aq_free_ptr(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}

static inline void aq_close_file(FILE **f)
{
	int saved = errno;

	if (*f)
		fclose(*f);
	errno = saved;
}

static inline void aq_close_dir(DIR **d)
{
	int saved = errno;

	if (*d)
		closedir(*d);
	errno = saved;
}

#define cleanup_free __attribute__((cleanup(aq_free_ptr)))
#define cleanup_close __attribute__((cleanup(aq_close_fd)))
#define cleanup_fclose __attribute__((cleanup(aq_close_file)))
#define cleanup_closedir __attribute__((cleanup(aq_close_dir)))

/* For 'struct aq_foo *' owners: DEFINE_CLEANUP(aq_foo) after the prototype of
 * aq_foo_free() gives the attribute cleanup_aq_foo.
 */
#define DEFINE_CLEANUP(type)                                                   \
	static inline void type##_cleanup_(struct type **p)                    \
	{                                                                      \
		int saved_ = errno;                                            \
		if (*p)                                                        \
			type##_free(*p);                                       \
		errno = saved_;                                                \
	}                                                                      \
	struct type /* takes the macro's semicolon */

#endif
