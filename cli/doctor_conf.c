/* SPDX-License-Identifier: Apache-2.0 */
/* aq doctor: aq.conf, and the accounts that it names. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "common/conf_table.h"
#include "common/nearest.h"
#include "common/trust.h"

#define KEYS_MAX 256

/* -- aq.conf -- */

/* A key that hooks only warn about: what was meant has no effect. */
static void say_unknown(struct doctor *d, const char *warning)
{
	const char *names[KEYS_MAX], *near, *quote = strchr(warning, '\'');
	char key[64] = "", remedy[256];
	size_t n = 0;

	for (; n < aq_conf_n_keys && n < KEYS_MAX; n++)
		names[n] = aq_conf_keys[n].name;
	if (quote)
		snprintf(key, sizeof(key), "%.*s",
			 (int)strcspn(quote + 1, "'"), quote + 1);
	near = aq_nearest(key, names, n);
	if (near)
		snprintf(remedy, sizeof(remedy), "write '%s', or remove the line",
			 near);
	else
		snprintf(remedy, sizeof(remedy),
			 "remove the line; aq.conf(5) has the keys that there are");
	doctor_say(d, DOCTOR_ERROR, remedy, "%s", warning);
}

static void check_file(struct doctor *d)
{
	struct aq_err err = { 0 };
	cleanup_close int fd = open(d->conf_path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		doctor_say(d, DOCTOR_WARNING,
			   "write it: at least 'channels = NAME=URL', see aq.conf(5)",
			   "there is no '%s': defaults alone, and no channel",
			   d->conf_path);
	else if (fd >= 0 && aq_trust_file(fd, d->conf_path, &err) != 0)
		doctor_say(d, DOCTOR_ERROR,
			   "give it, and every directory above, to root, and take the others' right to write",
			   "%s", err.text);
	else if (!d->conf->warnings.n)
		doctor_say(d, DOCTOR_OK, NULL, "'%s' is root's, and every key of it is known",
			   d->conf_path);
}

void doctor_conf(struct doctor *d)
{
	cleanup_conf struct aq_conf *conf = NULL;
	struct aq_err err = { 0 };

	if (!d->conf) {
		/* again, for the reason */
		if (aq_conf_load(d->cli->conf_path, d->cli->node, &conf,
				 &err) == 0)
			(void)aq_fail(&err, AQ_SYS, "'%s' changes just now",
				      d->conf_path);
		doctor_say(d, DOCTOR_ERROR,
			   "mend it, see aq.conf(5): until then every task with --aq-requirements fails",
			   "%s", err.text);
		return;
	}
	for (size_t i = 0; i < d->conf->warnings.n; i++)
		say_unknown(d, d->conf->warnings.v[i]);
	check_file(d);
}

/* -- accounts -- */

static bool can_log_in(const char *shell)
{
	const char *slash = strrchr(shell, '/');
	const char *name = slash ? slash + 1 : shell;

	return strcmp(name, "nologin") != 0 && strcmp(name, "false") != 0;
}

/* Whether builds can run as 'name'; *ret_uid is its. */
static bool check_account(struct doctor *d, const char *key, const char *name,
			  uid_t *ret_uid)
{
	const struct passwd *pw = getpwnam(name);
	char remedy[256];

	if (!pw) {
		snprintf(remedy, sizeof(remedy),
			 "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin %.64s",
			 name);
		doctor_say(d, DOCTOR_ERROR, remedy,
			   "%s: there is no account '%s' on this machine: nodes cannot build without",
			   key, name);
		return false;
	}
	*ret_uid = pw->pw_uid;
	if (pw->pw_uid == 0 || pw->pw_gid == 0) {
		snprintf(remedy, sizeof(remedy),
			 "give '%s' in aq.conf an account of its own", key);
		doctor_say(d, DOCTOR_ERROR, remedy,
			   "%s: account '%s' is root, or in root's group", key,
			   name);
		return false;
	}
	if (!can_log_in(pw->pw_shell)) {
		doctor_say(d, DOCTOR_OK, NULL, "%s: account '%s' (%u), which nobody can log in to",
			   key, name, pw->pw_uid);
		return true;
	}
	snprintf(remedy, sizeof(remedy),
		 "usermod --shell /usr/sbin/nologin %.64s", name);
	doctor_say(d, DOCTOR_WARNING, remedy,
		   "%s: account '%s' has a shell, '%s': it should do nothing but build",
		   key, name, pw->pw_shell);
	return true;
}

void doctor_accounts(struct doctor *d)
{
	uid_t builder = 0, probe = 0;
	bool are_there = check_account(d, "builder_user", d->conf->builder_user,
				       &builder);

	are_there &= check_account(d, "probe_user", d->conf->probe_user, &probe);
	if (are_there && builder == probe)
		doctor_say(d, DOCTOR_ERROR,
			   "name two accounts in aq.conf: what a package runs could write the package caches",
			   "builder_user and probe_user are the same account (%u)",
			   builder);
}
