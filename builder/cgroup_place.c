/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "builder/cgroup.h"
#include "builder/mountinfo.h"
#include "common/str.h"

/* Whether 'list', of words between commas, has 'word'. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] != '\0'))
		if (strcspn(p, ",") == len && strncmp(p, word, len) == 0)
			return true;
	return false;
}

/* The path in "ID:CONTROLLERS:PATH". */
static bool find_own(const char *own, const char *controller, char *ret,
		     size_t size)
{
	for (const char *p = own; *p; p = aq_next_line(p)) {
		char list[256];
		int at = 0;

		if (sscanf(p, "%*u:%n", &at) < 0 || !at)
			continue;
		snprintf(list, sizeof(list), "%.*s", (int)strcspn(p + at, ":\n"),
			 p + at);
		at += (int)strcspn(p + at, ":\n");
		if (p[at] != ':' || p[at + 1] != '/' ||
		    (controller ? !has_word(list, controller) : *list != '\0'))
			continue;
		return (size_t)snprintf(ret, size, "%.*s",
					(int)strcspn(p + at + 1, "\n"),
					p + at + 1) < size;
	}
	return false;
}

/* What follows 'root' in 'path', "" or "/…"; NULL: it is not below it. */
static const char *below(const char *root, const char *path)
{
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return strcmp(path + len, "/") == 0 ? "" : path + len;
}

bool cgroup_find(const char *mounts, const char *own, const char *controller,
		 struct cgroup_place *ret)
{
	char path[CGROUP_PATH_MAX], line[2 * CGROUP_PATH_MAX];

	if (!find_own(own, controller, path, sizeof(path)))
		return false;
	for (const char *p = mounts; *p; p = aq_next_line(p)) {
		struct mountinfo m;
		const char *rest;

		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
		if (!mountinfo_split(line, &m) ||
		    strcmp(m.type, controller ? "cgroup" : "cgroup2") != 0 ||
		    (controller && !has_word(m.options, controller)))
			continue;
		/* in a container only a part of it may be mounted */
		rest = below(m.root, path);
		if (!rest || strstr(path, "/.."))
			continue;
		ret->top = strlen(m.path);
		return snprintf(ret->dir, sizeof(ret->dir), "%s%s", m.path,
				rest) < (int)sizeof(ret->dir);
	}
	return false;
}

/* "uid_1000", "job_5" */
static bool is_of_slurm(const char *part)
{
	size_t n = 0;

	if (aq_starts_with(part, "uid_") || aq_starts_with(part, "job_"))
		n = strspn(part + 4, "0123456789");
	return n && (!part[4 + n] || part[4 + n] == '/');
}

void cgroup_out_of_job(struct cgroup_place *p)
{
	for (char *at = p->dir + p->top; (at = strchr(at, '/')); at++)
		if (is_of_slurm(at + 1)) {
			*at = '\0';
			return;
		}
}

bool cgroup_up(struct cgroup_place *p)
{
	char *slash = strrchr(p->dir, '/');

	if (!slash || (size_t)(slash - p->dir) < p->top)
		return false;
	*slash = '\0';
	return true;
}
