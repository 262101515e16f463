/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/host.h"

uint64_t aq_host_stamp(const char *driver)
{
	/* uname(2)'s fields, then what the driver says of itself: two lines */
	char text[4096];
	struct utsname u = { 0 };
	cleanup_close int fd = open(driver, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = 0;
	int len;

	(void)uname(&u);
	len = snprintf(text, sizeof(text), "%s %s %s\n",
		       gnu_get_libc_version(), u.release, u.machine);
	if (fd >= 0)
		n = read(fd, text + len, sizeof(text) - (size_t)len);
	return aq_hash(text, (size_t)len + (n > 0 ? (size_t)n : 0));
}
