/* SPDX-License-Identifier: Apache-2.0 */
#include "common/host.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "common/io.h"
#include "common/job.h"
#include "common/vmatch.h"

#define PATH_SIZE 1024
#define FILE_VERSION "aq-host 1"
#define HEAD_SIZE (AQ_BOOT_ID_SIZE + 64)
#define WORD_MAX 64 /* bytes of a name, a version or a build */

/* -- one package -- */

struct word {
	const char *s;
	int len;
};

/* "NAME VERSION BUILD\n" at 'line', in words that can be shown. */
static bool read_line(const char *line, struct word ret[3])
{
	for (int i = 0; i < 3; i++) {
		size_t len = strcspn(line, " \n");

		for (size_t k = 0; k < len; k++)
			if (line[k] <= ' ' || line[k] > '~')
				return false;
		if (!len || len > WORD_MAX || line[len] != (i < 2 ? ' ' : '\n'))
			return false;
		ret[i] = (struct word){ line, (int)len };
		line += len + 1;
	}
	return aq_starts_with(ret[0].s, "__");
}

static bool is_word(const struct word *word, const char *text)
{
	return strlen(text) == (size_t)word->len &&
	       memcmp(word->s, text, (size_t)word->len) == 0;
}

/* What 'host' has of package 'name': its version and build. */
static bool find(const struct aq_host *host, const char *name,
		 struct word ret[3])
{
	for (const char *p = host->text; *p; p = aq_next_line(p))
		if (read_line(p, ret) && is_word(&ret[0], name))
			return true;
	return false;
}

/* Unless it has the package already: who came first counts. */
static void add(struct aq_host *host, const char *name, const char *version,
		const char *build)
{
	size_t len = strlen(host->text);
	struct word known[3];
	int n;

	if (find(host, name, known))
		return;
	n = snprintf(host->text + len, sizeof(host->text) - len, "%s %s %s\n",
		     name, version, build);
	if (n < 0 || (size_t)n >= sizeof(host->text) - len)
		host->text[len] = '\0';
}

static void add_line(struct aq_host *host, const char *line)
{
	char field[3][WORD_MAX + 1];
	struct word words[3];

	if (!read_line(line, words))
		return;
	for (int i = 0; i < 3; i++)
		snprintf(field[i], sizeof(field[i]), "%.*s", words[i].len,
			 words[i].s);
	add(host, field[0], field[1], field[2]);
}

/* -- a node's -- */

/* "__cuda=12.4", "__archspec=1=zen4", "__cuda=": none. */
static void add_of_conf(struct aq_host *host, const struct aq_conf *conf)
{
	for (size_t i = 0; i < conf->virtuals.n; i++) {
		char name[WORD_MAX + 1], version[WORD_MAX + 1] = "-",
					 build[WORD_MAX + 1] = "0";

		if (sscanf(conf->virtuals.v[i], "%64[^=]=%64[^=]=%64s", name,
			   version, build) == 1)
			add(host, name, "-", "-");
		else
			add(host, name, version, build);
	}
}

static void add_own(struct aq_host *host)
{
	char kernel[WORD_MAX + 1];
	struct utsname u = { 0 };
	size_t len;

	(void)uname(&u);
	/* "6.1.0-18-amd64": clients take what comes first */
	len = strspn(u.release, "0123456789.");
	while (len && u.release[len - 1] == '.')
		len--;
	snprintf(kernel, sizeof(kernel), "%.*s", (int)len, u.release);
	add(host, "__glibc", gnu_get_libc_version(), "0");
	add(host, "__linux", kernel, "0");
	add(host, "__unix", "0", "0");
}

/* The first line of what is kept as the node is now.  A cache of one's own stays over a
 * boot, and other machines may have it too.
 */
static void make_head(const struct aq_conf *conf, uint64_t stamp,
		      bool is_silent, char *ret, size_t size)
{
	char boot[AQ_BOOT_ID_SIZE] = "";

	(void)!aq_boot_id(boot, NULL);
	snprintf(ret, size,
		 FILE_VERSION " %s %016" PRIx64 " %016" PRIx64 " %s\n", boot,
		 stamp, conf->stamp, is_silent ? "silent" : "asked");
}

static bool is_headed(const struct aq_conf *conf, const char *text,
		      bool is_silent)
{
	char head[HEAD_SIZE];

	make_head(conf, aq_host_stamp(AQ_HOST_DRIVER), is_silent, head,
		  sizeof(head));
	return aq_starts_with(text, head);
}

static void add_kept(struct aq_host *host, const struct aq_conf *conf)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(2 * AQ_HOST_MAX);
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/host", conf->run_dir);
	if (aq_read_file(AT_FDCWD, path, &text, NULL) != 0)
		return;
	host->is_asked = is_headed(conf, aq_str_get(&text), false);
	host->is_silent = is_headed(conf, aq_str_get(&text), true);
	if (!host->is_asked)
		return;
	for (const char *p = aq_next_line(aq_str_get(&text)); *p;
	     p = aq_next_line(p))
		add_line(host, p);
}

void aq_host_find(const struct aq_conf *conf, struct aq_host *ret)
{
	*ret = (struct aq_host){ 0 };
	add_of_conf(ret, conf);
	add_own(ret);
	add_kept(ret, conf);
}

int aq_host_keep(const struct aq_conf *conf, uint64_t stamp, const char *lines,
		 struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(2 * AQ_HOST_MAX);
	struct aq_host host = { 0 };
	cleanup_close int dir = -1;
	char head[HEAD_SIZE];
	int rc = aq_open_dir(AT_FDCWD, conf->run_dir, &dir, err);

	for (const char *p = lines ? lines : ""; *p; p = aq_next_line(p))
		add_line(&host, p);
	make_head(conf, stamp, !*host.text, head, sizeof(head));
	aq_str_add(&text, head);
	aq_str_add(&text, host.text);
	if (!rc)
		rc = aq_str_done(&text, "what this node has", err);
	return rc ? rc : aq_replace_file(dir, "host", aq_str_get(&text),
					 text.len, err);
}

int aq_host_has(const struct aq_host *host, const char *need,
		struct aq_err *err)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	char version[WORD_MAX + 1], build[WORD_MAX + 1];
	struct aq_lock_item item = { .kind = AQ_LOCK_CONDA };
	struct word found[3];
	enum aq_match match;
	int rc = aq_matchspec_parse(need, &spec, err);

	if (rc)
		return rc == AQ_USER ? AQ_MISS : rc;
	if (!find(host, spec.name, found))
		return host->is_asked ?
			aq_fail(err, AQ_USER, "it needs '%s', and this node has none",
				need) :
			aq_fail(err, AQ_MISS, "it needs '%s', of which this node cannot tell whether it has that",
				need);
	if (is_word(&found[1], "-"))
		return aq_fail(err, AQ_USER, "it needs '%s', and aq.conf says that this node has none",
			       need);
	snprintf(version, sizeof(version), "%.*s", found[1].len, found[1].s);
	snprintf(build, sizeof(build), "%.*s", found[2].len, found[2].s);
	item.name = spec.name;
	item.version = version;
	item.build = build;
	match = aq_matchspec_matches(&spec, &item);
	if (match == AQ_MATCH_YES)
		return 0;
	return aq_fail(err, match == AQ_MATCH_NO ? AQ_USER : AQ_MISS,
		       "it needs '%s', this node has %s%s%s", need, version,
		       strcmp(build, "0") == 0 ? "" : " ",
		       strcmp(build, "0") == 0 ? "" : build);
}

/* -- environments -- */

int aq_fit_env(const struct aq_conf *conf, const struct aq_host *host,
	       const char *name, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_LOCK_MAX);
	cleanup_strv struct aq_strv needs = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	char path[PATH_SIZE];
	int rc = 0;

	snprintf(path, sizeof(path), "%s/meta/%s/lock", conf->cache_dir, name);
	if (aq_read_file(AT_FDCWD, path, &text, NULL) != 0)
		return 0;
	aq_lock_needs(aq_str_get(&text), &needs);
	for (size_t i = 0; !rc && i < needs.n; i++)
		rc = aq_host_has(host, needs.v[i], err);
	/* a client resolved to it here, and can say no more */
	return host->is_silent || (rc == AQ_MISS && host->is_asked) ? 0 : rc;
}

static int judge(const char *name, void *arg, struct aq_err *err)
{
	struct aq_fit *fit = arg;
	struct aq_err why = { 0 };
	int rc = aq_fit_env(fit->conf, &fit->host, name, &why);

	if (!rc)
		return 0;
	fit->is_unknown = rc != AQ_USER;
	if (!fit->is_unknown) {
		snprintf(fit->unfit, sizeof(fit->unfit), "%s", name);
		snprintf(fit->why, sizeof(fit->why), "%s", why.text);
	}
	return aq_fail(err, (enum aq_class)rc, "%s", why.text);
}

void aq_fit_only(const struct aq_conf *conf, struct aq_store *store,
		 struct aq_fit *ret)
{
	*ret = (struct aq_fit){ .conf = conf };
	aq_host_find(conf, &ret->host);
	aq_store_find_only(store, judge, ret);
}
