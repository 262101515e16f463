/* SPDX-License-Identifier: Apache-2.0 */
/* One meaning, many spellings: what req.yaml(5) lists as equal. */
#include "tests/gen/model.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { SPEC_MAX = 1024, ITEMS_MAX = 64 };

static bool flip(struct rng *r)
{
	return rng_chance(r, 50);
}

/* White space that means nothing. */
static void blank(struct rng *r, struct aq_str *out)
{
	static const char *const blanks[] = { "", "", "", " ", "  " };

	aq_str_add(out, blanks[rng_below(r, 5)]);
}

static void shuffle(struct rng *r, struct aq_strv *v)
{
	for (size_t i = v->n; i > 1; i--) {
		size_t j = rng_below(r, (uint32_t)i);
		char *was = v->v[i - 1];

		v->v[i - 1] = v->v[j];
		v->v[j] = was;
	}
}

/* Append v's items with 'with' and random blanks between them. */
static void join(struct rng *r, const struct aq_strv *v, char with,
		 struct aq_str *out)
{
	for (size_t i = 0; i < v->n; i++) {
		if (i) {
			blank(r, out);
			aq_str_add_char(out, with);
			blank(r, out);
		}
		aq_str_add(out, v->v[i]);
	}
}

static void any_case(struct rng *r, const char *text, struct aq_str *out)
{
	for (; *text; text++)
		aq_str_add_char(out,
				flip(r) ? *text
					: (char)toupper((unsigned char)*text));
}

static void add_version(const struct version *v, struct aq_str *out)
{
	for (int i = 0; i < v->n; i++)
		aq_str_add_fmt(out, "%s%d", i ? "." : "", v->part[i]);
	if (v->pre)
		aq_str_add_fmt(out, "rc%d", v->pre);
}

/* The same number by PEP 440; 'exact' lets zeros be appended. */
static void add_pip_version(struct rng *r, const struct version *v, bool exact,
			    struct aq_str *out)
{
	static const char *const pre[] = { "rc",   "RC",    "c",
					   "-rc.", "_pre_", ".preview" };

	if (exact && rng_chance(r, 20))
		aq_str_add(out, flip(r) ? "v" : "0!");
	for (int i = 0; i < v->n; i++)
		aq_str_add_fmt(out, "%s%s%d", i ? "." : "",
			       rng_chance(r, 10) ? "0" : "", v->part[i]);
	for (int i = 0; exact && i < 2; i++)
		if (rng_chance(r, 20))
			aq_str_add(out, ".0");
	if (v->pre)
		aq_str_add_fmt(out, "%s%d", pre[rng_below(r, 6)], v->pre);
}

/* The conditions of a range, in any order, some twice. */
static void spell_range(struct rng *r, const struct wanted *w, bool pip,
			struct aq_str *out)
{
	cleanup_strv struct aq_strv v = AQ_STRV_INIT(ITEMS_MAX);

	for (int i = 0; i < w->n; i++) {
		for (int twice = rng_chance(r, 10); twice >= 0; twice--) {
			cleanup_str struct aq_str c = AQ_STR_INIT(SPEC_MAX);

			aq_str_add(&c, gen_ops[w->c[i].op]);
			blank(r, &c);
			if (pip)
				add_pip_version(r, &w->c[i].v, true, &c);
			else
				add_version(&w->c[i].v, &c);
			if (!pip && w->c[i].op == 0 && rng_chance(r, 10))
				aq_str_add(&c, ".*");
			aq_strv_add(&v, aq_str_get(&c));
		}
	}
	shuffle(r, &v);
	join(r, &v, w->form == FORM_EITHER ? '|' : ',', out);
}

/* What stands behind the name of a conda spec, or in version='…'. */
static void spell_wanted(struct rng *r, const struct wanted *w, bool build,
			 struct aq_str *out)
{
	/* with a build string, =1.2 is exact and ==1.2.* nobody writes */
	static const char *const prefix[] = { "%s.*",	"%s*", "=%s.*", "=%s*",
					      "==%s.*", "=%s", "= %s" };
	static const char *const exact[] = { "==%s", "%s", "== %s", "=%s" };
	static const char *const any[] = { "*", "=*", "==*" };
	cleanup_str struct aq_str v = AQ_STR_INIT(SPEC_MAX);
	bool group = !build && rng_chance(r, 10);
	const char *fmt = NULL;

	if (w->n)
		add_version(&w->c[0].v, &v);
	if (w->form == FORM_PREFIX)
		fmt = prefix[rng_below(r, build ? 5 : 7)];
	else if (w->form == FORM_EXACT)
		fmt = exact[rng_below(r, build ? 4 : 3)];
	else if (w->form == FORM_ANY)
		fmt = any[rng_below(r, 3)];
	if (group)
		aq_str_add_char(out, '(');
	if (fmt) {
		const char *hole = strstr(fmt, "%s");

		aq_str_add_mem(out, fmt,
			       hole ? (size_t)(hole - fmt) : strlen(fmt));
		if (hole)
			aq_str_add_fmt(out, "%s%s", aq_str_get(&v), hole + 2);
	} else {
		spell_range(r, w, false, out);
	}
	if (group)
		aq_str_add_char(out, ')');
}

static void spell_channel(struct rng *r, int channel, struct aq_str *out)
{
	if (flip(r))
		aq_str_add(out, "https://mirror.example/");
	aq_str_add(out, gen_channels[channel]);
	if (rng_chance(r, 30))
		aq_str_add_char(out, '/');
}

/* name[version='…',build=…] */
static void spell_brackets(struct rng *r, const struct package *p,
			   struct aq_str *out)
{
	cleanup_str struct aq_str version = AQ_STR_INIT(SPEC_MAX);
	const char *quote = flip(r) ? "'" : "\"";
	bool has_build = p->build || flip(r);

	spell_wanted(r, &p->wanted, false, &version);
	aq_str_add_char(out, '[');
	if (has_build && flip(r)) {
		aq_str_add_fmt(out, "build=%s,",
			       p->build ? gen_builds[p->build] : "*");
		has_build = false;
	}
	aq_str_add_fmt(out, "version=%s%s%s", quote, aq_str_get(&version),
		       quote);
	if (has_build)
		aq_str_add_fmt(out, ", build=%s%s%s", quote,
			       p->build ? gen_builds[p->build] : "*", quote);
	aq_str_add_char(out, ']');
}

void spell_conda(struct rng *r, const struct package *p, struct aq_str *out)
{
	cleanup_str struct aq_str version = AQ_STR_INIT(SPEC_MAX);
	const char *v;

	if (p->channel >= 0) {
		spell_channel(r, p->channel, out);
		aq_str_add(out, "::");
	}
	any_case(r, gen_names[p->name], out);
	if (rng_chance(r, 15)) {
		spell_brackets(r, p, out);
		return;
	}
	if (p->wanted.form == FORM_ANY && !p->build && flip(r))
		return;
	spell_wanted(r, &p->wanted, p->build != 0, &version);
	v = aq_str_get(&version);
	if (!strchr("=<>!~", *v) || flip(r))
		aq_str_add_char(out, ' ');
	aq_str_add(out, v);
	if (p->build)
		aq_str_add_fmt(out, "%s%s", flip(r) ? "=" : " ",
			       gen_builds[p->build]);
}

static void spell_marker(struct rng *r, int marker, struct aq_str *out)
{
	static const char *const spellings[N_MARKERS][3] = {
		{ "", "", "" },
		{ "python_version<'3.8'", "python_version < \"3.8\"",
		  "( python_version <'3.8')" },
		{ "sys_platform == 'linux' and python_version>='3.9'",
		  "python_version >= \"3.9\" and sys.platform=='linux'",
		  "(python_version>='3.9')and(sys_platform==\"linux\")" },
		{ "os_name=='nt' or os_name=='posix'",
		  "os.name == \"posix\" or os_name == 'nt'",
		  "os_name=='nt' or (os_name=='posix' or os_name=='nt')" },
		{ "'arm' in platform_machine",
		  "\"arm\"   in   platform.machine",
		  "('arm' in platform_machine)" },
	};

	aq_str_add(out, spellings[marker][rng_below(r, 3)]);
}

static void spell_extras(struct rng *r, unsigned int extras, struct aq_str *out)
{
	cleanup_strv struct aq_strv v = AQ_STRV_INIT(ITEMS_MAX);

	for (int i = 0; i < N_EXTRAS; i++)
		for (int n = extras >> i & 1 ? 1 + rng_chance(r, 10) : 0; n;
		     n--) {
			cleanup_str struct aq_str e = AQ_STR_INIT(SPEC_MAX);

			any_case(r, gen_extras[i], &e);
			for (char *c = e.s; *c; c++)
				if (*c == '-' && flip(r))
					*c = '_';
			aq_strv_add(&v, aq_str_get(&e));
		}
	if (!v.n && !rng_chance(r, 5))
		return;
	shuffle(r, &v);
	blank(r, out);
	aq_str_add_char(out, '[');
	join(r, &v, ',', out);
	aq_str_add_char(out, ']');
}

void spell_pip(struct rng *r, const struct package *p, struct aq_str *out)
{
	bool group = p->wanted.n && rng_chance(r, 10);

	for (const char *c = gen_names[p->name]; *c; c++) {
		if (strchr("-._", *c))
			aq_str_add_fmt(out, "%c%s", "-._"[rng_below(r, 3)],
				       rng_chance(r, 10) ? "-" : "");
		else
			aq_str_add_char(
				out,
				flip(r) ? *c
					: (char)toupper((unsigned char)*c));
	}
	spell_extras(r, p->extras, out);
	blank(r, out);
	if (group)
		aq_str_add_char(out, '(');
	if (p->wanted.form == FORM_RANGE) {
		spell_range(r, &p->wanted, true, out);
	} else if (p->wanted.n) {
		aq_str_add(out, "==");
		blank(r, out);
		add_pip_version(r, &p->wanted.c[0].v,
				p->wanted.form == FORM_EXACT, out);
		if (p->wanted.form == FORM_PREFIX)
			aq_str_add(out, ".*");
	}
	if (group)
		aq_str_add_char(out, ')');
	if (p->marker) {
		blank(r, out);
		aq_str_add_char(out, ';');
		blank(r, out);
		spell_marker(r, p->marker, out);
	}
}

/* -- YAML -- */

/* A scalar: plain where that is possible, else in quotes of either kind. */
static void add_scalar(struct rng *r, const char *text, bool plain,
		       struct aq_str *out)
{
	char quote = flip(r) ? '\'' : '"';

	if (plain && rng_chance(r, 60)) {
		aq_str_add(out, text);
		return;
	}
	aq_str_add_char(out, quote);
	for (; *text; text++) {
		if (quote == '\'' && *text == '\'')
			aq_str_add_char(out, '\'');
		else if (quote == '"' && strchr("\"\\", *text))
			aq_str_add_char(out, '\\');
		aq_str_add_char(out, *text);
	}
	aq_str_add_char(out, quote);
}

static void add_comment(struct rng *r, struct aq_str *out)
{
	if (rng_chance(r, 10))
		aq_str_add(out,
			   "  # a comment: [with] {all} 'sorts' - of = text");
	aq_str_add_char(out, '\n');
	if (rng_chance(r, 5))
		aq_str_add(out, "\n# a line of its own\n");
}

/* "key: [a, b]" or "key:" with a '-' line for each. */
static void add_list(struct rng *r, const char *indent, const char *key,
		     const struct aq_strv *v, struct aq_str *out)
{
	aq_str_add_fmt(out, "%s:", key);
	if (!v->n || rng_chance(r, 20)) {
		aq_str_add(out, " [");
		for (size_t i = 0; i < v->n; i++) {
			aq_str_add(out, i ? ", " : "");
			add_scalar(r, v->v[i], false, out);
		}
		aq_str_add_char(out, ']');
		add_comment(r, out);
		return;
	}
	add_comment(r, out);
	for (size_t i = 0; i < v->n; i++) {
		aq_str_add_fmt(out, "%s- ", indent);
		add_scalar(r, v->v[i], true, out);
		add_comment(r, out);
	}
}

static void spell_channels(struct rng *r, const struct model *m,
			   struct aq_str *out)
{
	cleanup_strv struct aq_strv v = AQ_STRV_INIT(ITEMS_MAX);

	for (int i = 0; i < m->n_channels; i++) {
		cleanup_str struct aq_str c = AQ_STR_INIT(SPEC_MAX);

		spell_channel(r, m->channels[i], &c);
		aq_strv_add(&v, aq_str_get(&c));
		if (rng_chance(r, 10))
			aq_strv_add(&v, aq_str_get(&c));
	}
	if (rng_chance(r, 20))
		aq_strv_add(&v, "nodefaults");
	if (m->n_channels && rng_chance(r, 10))
		aq_strv_add(&v, "defaults"); /* which this site lacks */
	if (v.n || flip(r))
		add_list(r, flip(r) ? "  " : "", "channels", &v, out);
}

/* The conda specs, Python's among them unless python_version: says it. */
static void list_conda(struct rng *r, const struct model *m, bool python,
		       struct aq_strv *v)
{
	for (int i = 0; i < m->n_conda; i++)
		for (int n = 1 + rng_chance(r, 5); n; n--) {
			cleanup_str struct aq_str s = AQ_STR_INIT(SPEC_MAX);

			spell_conda(r, &m->conda[i], &s);
			aq_strv_add(v, aq_str_get(&s));
		}
	if (python && m->has_python) {
		cleanup_str struct aq_str s = AQ_STR_INIT(SPEC_MAX);

		aq_str_add(&s, "python ");
		spell_wanted(r, &m->python, false, &s);
		aq_strv_add(v, aq_str_get(&s));
	} else if (python && m->n_pip && rng_chance(r, 30)) {
		aq_strv_add(v, "python=3.12"); /* default_python */
	}
	shuffle(r, v);
}

static void spell_dependencies(struct rng *r, const struct model *m,
			       bool python, const struct aq_strv *pip,
			       struct aq_str *out)
{
	cleanup_strv struct aq_strv v = AQ_STRV_INIT(ITEMS_MAX);
	size_t at;

	list_conda(r, m, python, &v);
	if (!pip->n) {
		if (v.n || flip(r))
			add_list(r, flip(r) ? "  " : "", "dependencies", &v,
				 out);
		return;
	}
	at = rng_below(r, (uint32_t)v.n + 1);
	aq_str_add(out, "dependencies:\n");
	for (size_t i = 0; i <= v.n; i++) {
		if (i == at) {
			aq_str_add(out, "  - ");
			add_list(r, flip(r) ? "      " : "    ", "pip", pip,
				 out);
		}
		if (i < v.n) {
			aq_str_add(out, "  - ");
			add_scalar(r, v.v[i], true, out);
			add_comment(r, out);
		}
	}
}

static void spell_variables(struct rng *r, const struct model *m,
			    struct aq_str *out)
{
	int from = (int)rng_below(r, (uint32_t)m->n_variables + 1);

	if (!m->n_variables)
		return;
	aq_str_add(out, "variables:\n");
	for (int i = 0; i < m->n_variables; i++) {
		int k = (from + i) % m->n_variables;
		char value[32];

		snprintf(value, sizeof(value), "value %d",
			 m->variables[k].value);
		aq_str_add_fmt(out, "    VAR_%d:   ", m->variables[k].name);
		add_scalar(r, value, true, out);
		add_comment(r, out);
	}
}

static void spell_python_version(struct rng *r, const struct model *m,
				 struct aq_str *out)
{
	cleanup_str struct aq_str v = AQ_STR_INIT(SPEC_MAX);

	if (m->python.form == FORM_EXACT) { /* bare, it would be a prefix */
		aq_str_add(&v, "==");
		add_version(&m->python.c[0].v, &v);
	} else if (m->python.form == FORM_PREFIX && flip(r)) {
		add_version(&m->python.c[0].v, &v);
	} else {
		spell_wanted(r, &m->python, false, &v);
	}
	aq_str_add(out, "python_version: ");
	add_scalar(r, aq_str_get(&v), false, out);
	add_comment(r, out);
}

void model_spell(struct rng *r, const struct model *m, struct aq_str *out)
{
	cleanup_strv struct aq_strv below = AQ_STRV_INIT(ITEMS_MAX);
	cleanup_strv struct aq_strv top = AQ_STRV_INIT(ITEMS_MAX);
	uint32_t first = rng_below(r, 7), how = rng_below(r, 3);

	for (int i = 0; i < m->n_pip; i++)
		for (int n = 1 + rng_chance(r, 5); n; n--) {
			cleanup_str struct aq_str s = AQ_STR_INIT(SPEC_MAX);

			spell_pip(r, &m->pip[i], &s);
			aq_strv_add(flip(r) ? &below : &top, aq_str_get(&s));
		}
	shuffle(r, &below);
	shuffle(r, &top);
	for (uint32_t i = 0; i < 7; i++) {
		switch ((first + 3 * i) % 7) {
		case 0:
			aq_str_add(out, flip(r) ? "name: x\n" : "");
			break;
		case 1:
			aq_str_add(out, flip(r) ? "prefix: /opt/x\n" : "");
			break;
		case 2:
			if (m->has_python && how != 0)
				spell_python_version(r, m, out);
			break;
		case 3:
			if (top.n)
				add_list(r, flip(r) ? " " : "", "requirements",
					 &top, out);
			break;
		case 4:
			spell_channels(r, m, out);
			break;
		case 5:
			spell_dependencies(r, m, how != 1, &below, out);
			break;
		default:
			spell_variables(r, m, out);
			break;
		}
	}
}
