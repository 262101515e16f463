/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/shared_host.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "common/vmatch.h"

void shared_host_find(struct shared_host *ret)
{
	struct utsname u = { 0 };
	size_t len;

	snprintf(ret->glibc, sizeof(ret->glibc), "%s", gnu_get_libc_version());
	(void)uname(&u);
	/* "6.1.0-18-amd64": clients take what comes first */
	len = strspn(u.release, "0123456789.");
	while (len && u.release[len - 1] == '.')
		len--;
	snprintf(ret->kernel, sizeof(ret->kernel), "%.*s", (int)len, u.release);
}

int shared_host_has(const struct shared_host *host, const char *need,
		    struct aq_err *err)
{
	const struct {
		const char *name, *version;
	} has[] = {
		{ "__glibc", host->glibc },
		{ "__linux", host->kernel },
		{ "__unix", "0" },
	};
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	int rc = aq_matchspec_parse(need, &spec, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(has); i++) {
		const struct aq_lock_item item = {
			.kind = AQ_LOCK_CONDA,
			.name = spec.name,
			.version = (char *)(uintptr_t)has[i].version,
			.build = (char[]){ "0" },
		};

		if (strcmp(spec.name, has[i].name) != 0)
			continue;
		return aq_matchspec_matches(&spec, &item) == AQ_MATCH_YES ? 0 :
			aq_fail(err, AQ_USER, "it needs '%s', this node has %s",
				need, has[i].version);
	}
	return aq_fail(err, AQ_USER, "it needs '%s', of which this node cannot tell whether it has that",
		       need);
}
