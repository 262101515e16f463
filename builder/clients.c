/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/clients.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/str.h"

/* NONE: it runs what packages bring in the step that fetches them, link scripts or
 * an interpreter with their files.
 */
static const struct {
	const char *name;
	enum secrets_how how;
} takers[] = {
	{ "rattler", SECRETS_NONE },	   { "conda", SECRETS_NONE },
	{ "pip", SECRETS_NONE },	   { "uv", SECRETS_NETRC },
	{ "micromamba", SECRETS_NETRC },   { "mamba", SECRETS_NETRC },
	{ "aq-rattler", SECRETS_RATTLER },
};

/* In the order in which `client = auto` looks for them: aq-rattler is always there.
 * The last two link what they fetch before anybody can look at it, so that their
 * environments share no packages; they must be named.
 */
static const char *const names[] = { "micromamba", "mamba", "aq-rattler",
				     "conda", "rattler" };
#define N_SHARING 3

bool client_find(const char *name, char *ret, size_t size)
{
	static const char *const dirs[] = { AQ_PKGLIBEXECDIR, "/usr/local/bin",
					    "/usr/bin", "/bin",
					    "/opt/conda/bin" };

	if (name[0] == '/')
		return access(name, X_OK) == 0 && aq_copy_text(ret, size, name);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(ret, size, "%s/%s", dirs[i], name);
		if (access(ret, X_OK) == 0)
			return true;
	}
	return false;
}

int client_choose(const char *client, const char **ret_name, char *program,
		  size_t size, struct aq_err *err)
{
	const char *slash = strrchr(client, '/');
	const char *name = slash ? slash + 1 : client;
	bool is_auto = strcmp(client, "auto") == 0;
	size_t n = is_auto ? N_SHARING : ARRAY_LEN(names);

	for (size_t i = 0; i < n; i++) {
		if (!is_auto && strcmp(name, names[i]) != 0)
			continue;
		if (client_find(is_auto ? names[i] : client, program, size)) {
			*ret_name = names[i];
			return 0;
		}
		if (!is_auto)
			return aq_fail(err, AQ_SYS, "the conda client '%s' is not there: see 'client' in aq.conf",
				       client);
	}
	if (is_auto)
		return aq_fail(err, AQ_SYS, "no conda client is installed on this node: see 'client' in aq.conf");
	return aq_fail(err, AQ_SYS,
		       "'%s' is no conda client that is known: 'client' in aq.conf takes micromamba, mamba, aq-rattler, conda, rattler, or a path that ends in one",
		       client);
}

bool client_is_alone(const char *name)
{
	for (size_t i = 0; i < N_SHARING; i++)
		if (strcmp(name, names[i]) == 0)
			return false;
	return true;
}

int client_choose_pip(const char *client, char *program, size_t size,
		      struct aq_err *err)
{
	if (strcmp(client, "pip") != 0 &&
	    client_find(strcmp(client, "auto") == 0 ? "uv" : client, program,
			size))
		return 0;
	return aq_fail(err, AQ_MISS, "the environment's own pip is used");
}

enum secrets_how client_takes(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(takers); i++)
		if (strcmp(takers[i].name, name) == 0)
			return takers[i].how;
	return SECRETS_NONE;
}
