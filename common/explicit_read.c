/* SPDX-License-Identifier: Apache-2.0 */
#include "common/explicit.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/canonical.h"
#include "common/channel.h"
#include "common/matchspec.h"
#include "common/text.h"

#define MARK "@EXPLICIT"
#define PIP_MARK "# pip "
#define MD5_DIGITS 32

/* A file being read. */
struct explicit {
	struct aq_reading *r;
	struct aq_strv names; /* of its conda packages ... */
	struct aq_strv specs; /* ... and what each became */
	struct aq_strv channels;
};

/* A line of it, its blanks cut off both ends. */
struct line {
	struct aq_place at;
	char *text;
};

/* What a package's URL says: pieces of it. */
struct package {
	const struct aq_channel *channel;
	char *subdir, *name, *version, *build, *sha256;
};

/* -- lines -- */

static const char blanks[] = " \t\r\f\v";

bool aq_explicit_is(const char *text)
{
	while (*text) {
		size_t len;

		text += strspn(text, " \t\r\f\v\n");
		len = strcspn(text, "\n");
		if (*text != '#') {
			while (len && strchr(blanks, text[len - 1]))
				len--;
			return len == strlen(MARK) &&
			       memcmp(text, MARK, len) == 0;
		}
		text += len;
	}
	return false;
}

/* Make 'text' what it stands for, in place: RFC 3986, section 2.1. */
static bool decode_percent(char *text)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		if (*in == '%') {
			char hex[3] = { in[1], in[1] ? in[2] : '\0', '\0' };

			if (!isxdigit((unsigned char)hex[0]) ||
			    !isxdigit((unsigned char)hex[1]))
				return false;
			*out++ = (char)strtoul(hex, NULL, 16);
			in += 2;
			/* "%00" ends no name */
			if (!out[-1])
				return false;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
	return true;
}

/* Whether it is of letters, digits and 'others': nothing in it becomes an
 * operator, a pattern or another part of a spec.
 */
static bool is_of(const char *text, const char *others)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr(others, *text))
			return false;
	return true;
}

static void out_of_memory(struct explicit *x, const struct line *l)
{
	struct aq_err err;

	aq_fail(&err, AQ_SYS, "out of memory for a lock file");
	aq_problem_err(&x->r->problems, l->at, &err);
}

static bool problem(struct explicit *x, const struct line *l, const char *why)
{
	char show[AQ_SHOW_SIZE];

	aq_problem(&x->r->problems, l->at, "'%s' %s", aq_show(l->text, show),
		   why);
	return false;
}

/* -- conda packages -- */

/* Printable ASCII, no blank, as in any URL. */
static bool is_word(const char *text)
{
	while (*text > ' ' && *text <= '~')
		text++;
	return !*text;
}

/* 'hash' is what stands behind the URL's '#', or empty. */
static bool read_hash(struct explicit *x, const struct line *l, char *hash,
		      struct package *p)
{
	struct aq_place at = l->at;
	char show[AQ_SHOW_SIZE];
	const char *what;

	if (aq_starts_with(hash, "sha256:"))
		hash += strlen("sha256:");
	for (char *c = hash; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	p->sha256 = hash;
	if (aq_is_hex(hash, AQ_SHA256_HEX_SIZE - 1))
		return true;
	at.column += strcspn(l->text, "#");
	what = !*hash                      ? "nothing" :
	       aq_is_hex(hash, MD5_DIGITS) ? "an MD5" :
					     aq_show(hash, show);
	aq_problem(&x->r->problems, at,
		   "%s where the package's SHA-256 belongs: write '#sha256:' "
		   "and 64 digits, as 'conda list --explicit --sha256' does",
		   what);
	return false;
}

/* The channel that a package lies below.  What has the name of one of the map
 * but another URL is told with the map's; it is not quoted, for it may hold
 * credentials.
 */
static bool read_channel(struct explicit *x, const struct line *l,
			 const char *url, struct package *p)
{
	const struct aq_conf *conf = x->r->conf;
	const char *name = strrchr(url, '/') + 1;
	struct aq_err err;

	if (aq_channel_find(conf, url, &p->channel, &err) == 0)
		return true;
	for (size_t i = 0; i < conf->n_channels; i++) {
		cleanup_free char *ours = NULL;

		if (strcmp(conf->channels[i].name, name) != 0)
			continue;
		ours = aq_channel_url(&conf->channels[i]);
		if (!ours)
			break;
		aq_problem(&x->r->problems, l->at,
			   "a package of a channel that is not in the "
			   "administrator's map: write '%s/%s/…', which is "
			   "'%s' here",
			   ours, p->subdir, name);
		return false;
	}
	aq_problem_err(&x->r->problems, l->at, &err);
	return false;
}

/* Cut "CHANNEL/SUBDIR/FILE"; p->name is the file's until that is cut too. */
static bool read_url(struct explicit *x, const struct line *l, char *url,
		     struct package *p)
{
	char *slash;

	if (!is_word(url))
		return problem(x, l,
			       "has a blank or another character that a URL "
			       "cannot have: write one package's URL a line");
	if (!strstr(url, "://"))
		return problem(x, l,
			       "is no URL: below '" MARK "' each line is the "
			       "URL of a package");
	if (!aq_ends_with(url, ".conda") && !aq_ends_with(url, ".tar.bz2"))
		return problem(x, l,
			       "is no conda package: those end with '.conda' "
			       "or '.tar.bz2', pip's stand behind '# pip'");
	slash = strrchr(url, '/');
	*slash = '\0';
	p->name = slash + 1;
	slash = strrchr(url, '/');
	if (!slash || !aq_is_subdir(slash + 1) || !strstr(url, "://"))
		return problem(x, l,
			       "does not lie in a channel's directory of a "
			       "platform: write for example "
			       "'CHANNEL/linux-64/FILE'");
	*slash = '\0';
	p->subdir = slash + 1;
	if (!aq_starts_with(p->subdir, "linux-") &&
	    strcmp(p->subdir, "noarch") != 0)
		return problem(x, l,
			       "is a package for another system than Linux: "
			       "give the lock of the nodes' platform");
	if (!strstr(url, "://"))
		return problem(x, l, "names no channel");
	return read_channel(x, l, url, p);
}

/* Cut "NAME-VERSION-BUILD.conda": only the name may hold a '-'. */
static bool read_file_name(struct package *p)
{
	char *file = p->name;
	size_t suffix = aq_ends_with(file, ".conda") ? strlen(".conda") :
						       strlen(".tar.bz2");

	file[strlen(file) - suffix] = '\0';
	if (!decode_percent(file))
		return false;
	p->build = strrchr(file, '-');
	if (!p->build)
		return false;
	*p->build++ = '\0';
	p->version = strrchr(file, '-');
	if (!p->version)
		return false;
	*p->version++ = '\0';
	return is_of(p->name, "._-") && is_of(p->version, "._+!") &&
	       is_of(p->build, "._+");
}

/* Take the spec, unless the file has the package already. */
static void add_spec(struct explicit *x, const struct line *l,
		     const struct package *p, const char *spec)
{
	for (size_t i = 0; i < x->names.n && i < x->specs.n; i++) {
		if (strcasecmp(x->names.v[i], p->name) != 0)
			continue;
		if (strcmp(x->specs.v[i], spec) != 0)
			problem(x, l,
				"is a package that is listed above as another "
				"one: keep one of the two");
		return;
	}
	aq_strv_add(&x->names, p->name);
	aq_strv_add(&x->specs, spec);
	if (!aq_strv_has(&x->channels, p->channel->name))
		aq_strv_add(&x->channels, p->channel->name);
	aq_sections_spec(x->r, l->at, spec);
}

static void read_conda(struct explicit *x, const struct line *l)
{
	cleanup_str struct aq_str spec = AQ_STR_INIT(AQ_SPEC_MAX);
	cleanup_free char *url = strdup(l->text);
	struct package p = { 0 };
	struct aq_err err;
	char *hash;

	if (!url) {
		out_of_memory(x, l);
		return;
	}
	hash = url + strcspn(url, "#");
	if (*hash)
		*hash++ = '\0';
	if (!read_url(x, l, url, &p) || !read_hash(x, l, hash, &p))
		return;
	if (!read_file_name(&p)) {
		problem(x, l,
			"does not say which package it is: a file is named "
			"NAME-VERSION-BUILD");
		return;
	}
	aq_str_add_fmt(&spec, "%s/%s::%s ==%s %s[sha256=%s]", p.channel->name,
		       p.subdir, p.name, p.version, p.build, p.sha256);
	if (aq_text_done(&spec, "a package's URL", &err))
		aq_problem_err(&x->r->problems, l->at, &err);
	else
		add_spec(x, l, &p, aq_str_get(&spec));
}

/* -- pip's wheels -- */

/* Whether two names are one by PEP 503, 'b' a wheel's, which has one '_' for
 * each run of the others.
 */
static bool is_same_name(const char *a, size_t alen, const char *b)
{
	static const char runs[] = "-_.";
	size_t i = 0;

	while (i < alen && *b) {
		if (strchr(runs, a[i]) && strchr(runs, *b)) {
			while (i < alen && strchr(runs, a[i]))
				i++;
			b += strspn(b, runs);
		} else if (tolower((unsigned char)a[i++]) !=
			   tolower((unsigned char)*b++)) {
			return false;
		}
	}
	return i == alen && !*b;
}

/* The version in "URL/NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl" (PEP 427),
 * in place; NULL if that is no wheel of the package 'name'.
 */
static char *version_of_wheel(const char *name, size_t len, char *url)
{
	char *file = strrchr(url, '/'), *version, *end;
	size_t dashes = 0;

	if (!file || !aq_ends_with(url, ".whl") || !decode_percent(++file))
		return NULL;
	for (const char *c = file; *c; c++)
		dashes += *c == '-';
	if (dashes < 4 || dashes > 5)
		return NULL;
	version = strchr(file, '-');
	*version++ = '\0';
	end = strchr(version, '-');
	*end = '\0';
	return is_of(version, "._+!") && is_same_name(name, len, file) ?
		       version :
		       NULL;
}

/* "NAME @ URL#sha256=…": conda-lock's, the URL's hash also as --hash=…  Or
 * "NAME ==VERSION --hash=…".  A request holds no hash of pip's: the version
 * stands for it.
 */
static void read_pip(struct explicit *x, const struct line *l)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	const char *text = l->text + strlen(PIP_MARK), *rest, *version;
	cleanup_free char *url = NULL;
	struct aq_err err;
	size_t len;

	text += strspn(text, blanks);
	len = strcspn(text, " \t@=");
	rest = text + len + strspn(text + len, blanks);
	if (len && *rest == '@') {
		rest += 1 + strspn(rest + 1, blanks);
		url = strndup(rest, strcspn(rest, " \t#"));
		if (!url) {
			out_of_memory(x, l);
			return;
		}
		version = version_of_wheel(text, len, url);
		if (version)
			aq_str_add_fmt(&out, "%.*s==%s", (int)len, text,
				       version);
	} else if (len && aq_starts_with(rest, "==")) {
		const char *hash = strstr(rest, " --hash=");

		aq_str_add_mem(&out, text,
			       hash ? (size_t)(hash - text) : strlen(text));
	}
	if (aq_text_done(&out, "a line", &err))
		aq_problem_err(&x->r->problems, l->at, &err);
	else if (out.len && isalnum((unsigned char)*text))
		aq_pip_line(&x->r->pip, l->at, aq_str_get(&out), false);
	else
		problem(x, l,
			"does not name a wheel: write '# pip NAME @ URL' of "
			"that package's wheel, or '# pip NAME==VERSION'");
}

/* -- the whole -- */

static void read_line(struct explicit *x, const struct line *l)
{
	if (aq_starts_with(l->text, PIP_MARK))
		read_pip(x, l);
	else if (*l->text && *l->text != '#' && strcmp(l->text, MARK) != 0)
		read_conda(x, l);
}

/* Cut the line at 'text' and read it.  Returns what follows. */
static const char *take_line(struct explicit *x, struct line *l,
			     const char *text)
{
	size_t len = strcspn(text, "\n"), begin = 0;
	const char *next = text + len + (text[len] == '\n');

	while (begin < len && strchr(blanks, text[begin]))
		begin++;
	while (len > begin && strchr(blanks, text[len - 1]))
		len--;
	l->at.line++;
	l->at.column = begin + 1;
	l->text = strndup(text + begin, len - begin);
	if (l->text)
		read_line(x, l);
	else
		out_of_memory(x, l);
	free(l->text);
	return next;
}

/* The map's order, whatever the lines': they are no order of preference. */
static void add_channels(struct explicit *x)
{
	const struct aq_conf *conf = x->r->conf;

	for (size_t i = 0; i < conf->n_channels; i++)
		if (aq_strv_has(&x->channels, conf->channels[i].name) &&
		    !aq_strv_has(&x->r->req->channels, conf->channels[i].name))
			aq_strv_add(&x->r->req->channels,
				    conf->channels[i].name);
}

void aq_explicit_read(struct aq_reading *r, const char *text)
{
	struct explicit x = {
		.r = r,
		.names = AQ_STRV_INIT(AQ_REQUEST_ITEMS_MAX),
		.specs = AQ_STRV_INIT(AQ_REQUEST_ITEMS_MAX),
		.channels = AQ_STRV_INIT(AQ_REQUEST_ITEMS_MAX),
	};
	struct line l = { .at = { .file = r->file } };

	while (*text)
		text = take_line(&x, &l, text);
	add_channels(&x);
	if (x.names.broken == ENOMEM || x.specs.broken == ENOMEM ||
	    x.channels.broken)
		out_of_memory(&x, &l);
	aq_strv_free(&x.names);
	aq_strv_free(&x.specs);
	aq_strv_free(&x.channels);
}
