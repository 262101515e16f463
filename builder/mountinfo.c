/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/mountinfo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "common/str.h"

/* A space is "\040" there. */
static void unescape(char *path)
{
	char *to = path;

	for (; *path; path++) {
		if (path[0] == '\\' && strspn(path + 1, "01234567") >= 3) {
			*to++ = (char)((path[1] - '0') * 64 +
				       (path[2] - '0') * 8 + path[3] - '0');
			path += 3;
		} else {
			*to++ = *path;
		}
	}
	*to = '\0';
}

/* What a remount would take away: all that is not said again. */
static unsigned long flags_of(const char *options)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} known[] = { { "nosuid", MS_NOSUID },	   { "nodev", MS_NODEV },
		      { "noexec", MS_NOEXEC },	   { "noatime", MS_NOATIME },
		      { "nodiratime", MS_NODIRATIME },
		      { "relatime", MS_RELATIME } };
	unsigned long flags = 0;

	while (*options) {
		size_t len = strcspn(options, ",");

		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			if (strlen(known[i].name) == len &&
			    strncmp(known[i].name, options, len) == 0)
				flags |= known[i].flag;
		options += len + (options[len] == ',');
	}
	return flags;
}

/* ID PARENT MAJOR:MINOR ROOT PATH FLAGS ... - TYPE SOURCE OPTIONS */
bool mountinfo_split(char *line, struct mountinfo *ret)
{
	char *words[6] = { NULL }, *save = NULL, *type, *options;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		words[i] = strtok_r(i ? NULL : line, " \n", &save);
		if (!words[i])
			return false;
	}
	while ((type = strtok_r(NULL, " \n", &save)) && strcmp(type, "-") != 0)
		;
	type = type ? strtok_r(NULL, " \n", &save) : NULL;
	options = type ? strtok_r(NULL, " \n", &save) : NULL;
	options = options ? strtok_r(NULL, " \n", &save) : NULL;
	unescape(words[3]);
	unescape(words[4]);
	*ret = (struct mountinfo){ .root = words[3], .path = words[4],
				   .flags = words[5],
				   .type = type ? type : "",
				   .options = options ? options : "" };
	return true;
}

bool mountinfo_read_line(char *line, const char **ret_path,
			 unsigned long *ret_flags)
{
	struct mountinfo m;

	if (!mountinfo_split(line, &m))
		return false;
	*ret_path = m.path;
	*ret_flags = flags_of(m.flags);
	return true;
}

/* What cannot be reached need not be closed: it lies under another mount, or the
 * file system lets not even root in (fuse(4)).
 */
static bool cannot_be_reached(void)
{
	return errno == EINVAL || errno == ENOENT || errno == ENOTDIR ||
	       errno == EACCES;
}

bool mountinfo_close_all(void)
{
	cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0) {
		const char *path;
		unsigned long flags;

		if (mountinfo_read_line(line, &path, &flags) &&
		    mount(NULL, path, NULL,
			  MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | flags,
			  NULL) != 0 && !cannot_be_reached())
			return false;
	}
	return f && !ferror(f);
}
