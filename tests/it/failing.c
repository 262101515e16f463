/* SPDX-License-Identifier: Apache-2.0 */
/* Linked with faults.c into copies of aq-builder and aq: the file CONF.faults, a
 * struct faults beside the aq.conf that they are given, says which call of theirs,
 * of their children's and of each other's fails, and is told.  Without it they are
 * what they are.  Never installed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/faults.h"

static const char *find_conf(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--config") == 0)
			return argv[i + 1];
	return getenv("AQ_CONF");
}

/* With the program's arguments, as glibc calls it. */
__attribute__((constructor)) static void share(int argc, char **argv)
{
	const char *conf = find_conf(argc, argv);
	char path[4096];
	struct stat st;
	void *plan;
	int fd;

	snprintf(path, sizeof(path), "%s.faults", conf ? conf : "");
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 ||
	    st.st_size != (off_t)sizeof(struct faults))
		return;
	plan = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	close(fd);
	if (plan != MAP_FAILED)
		faults_share(plan);
}
