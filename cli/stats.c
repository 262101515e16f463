/* SPDX-License-Identifier: Apache-2.0 */
/* aq stats: what the cache saves, and what it holds. */
#include "config.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/domains.h"
#include "cli/env.h"
#include "cli/json.h"
#include "cli/stats.h"
#include "cli/term.h"
#include "cli/units.h"
#include "common/collect.h"

#define LABEL_FORMAT "%-14s"

/* -- asking -- */

/* NULL where there are none: asking makes nothing. */
static int open_refs(const struct cli *cli, struct aq_refs **ret,
		     struct aq_err *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/refs.db", cli->conf->run_dir);
	return access(path, F_OK) < 0 ? 0 : aq_refs_open(cli->conf, ret, err);
}

static void add_up(struct stats *s, const struct stats *one)
{
	struct aq_totals *to = &s->totals;
	const struct aq_totals *from = &one->totals;

	for (size_t i = 0; i < AQ_TALLY_N; i++)
		s->tally.n[i] += one->tally.n[i];
	if (one->tally.since &&
	    (!s->tally.since || one->tally.since < s->tally.since))
		s->tally.since = one->tally.since;
	for (size_t k = 0; k < ARRAY_LEN(to->kinds); k++) {
		to->kinds[k].n += from->kinds[k].n;
		to->kinds[k].size_own += from->kinds[k].size_own;
		to->kinds[k].size_shared += from->kinds[k].size_shared;
	}
	to->n_pinned += from->n_pinned;
	to->n_bases += from->n_bases;
	s->n_references += one->n_references;
	s->n_private += one->n_private;
}

/* One domain. */
static int gather(struct cli *cli, void *arg, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	struct stats one = { .n_private = cli->conf->site != NULL };
	int rc = env_open_store(cli, &store, err);

	if (rc == AQ_MISS) /* no cache yet */
		rc = 0;
	if (!rc && store)
		rc = aq_store_totals(store, &one.totals, err);
	if (!rc)
		rc = open_refs(cli, &refs, err);
	if (!rc)
		rc = aq_store_tally(store, refs, &one.tally, err);
	if (!rc && refs)
		rc = aq_refs_count(refs, NULL, &one.n_references, err);
	add_up(arg, &one);
	return rc;
}

/* -- text -- */

static unsigned long long sum(const struct stats *s)
{
	unsigned long long all = 0;

	for (size_t i = 0; i < AQ_TALLY_OUTCOMES; i++)
		all += s->tally.n[i];
	return all;
}

static void print_lookups(FILE *out, const struct stats *s)
{
	unsigned long long all = sum(s), hits = s->tally.n[AQ_TALLY_HIT];
	const char *gap = "";

	fprintf(out, LABEL_FORMAT "%llu", "look-ups", all);
	if (all)
		fprintf(out, ", %llu hits (%llu %%)", hits, 100 * hits / all);
	fputc('\n', out);
	if (all == hits)
		return;
	fprintf(out, LABEL_FORMAT, "");
	for (enum aq_tally_what i = AQ_TALLY_HIT + 1; i < AQ_TALLY_OUTCOMES; i++)
		if (s->tally.n[i]) {
			fprintf(out, "%s%llu %s", gap,
				(unsigned long long)s->tally.n[i],
				aq_tally_name(i));
			gap = ", ";
		}
	fputc('\n', out);
}

static void print_saved(FILE *out, const struct stats *s)
{
	const uint64_t *n = s->tally.n;
	char time[UNITS_SIZE], size[UNITS_SIZE];

	fprintf(out, LABEL_FORMAT "%llu in %s, %s new on disk\n", "builds",
		(unsigned long long)(n[AQ_TALLY_CREATED] + n[AQ_TALLY_LINKED] +
				     n[AQ_TALLY_INHERITED]),
		units_ms(n[AQ_TALLY_BUILD_MS], time),
		units_bytes(n[AQ_TALLY_BUILD_BYTES], size));
	fprintf(out, LABEL_FORMAT "%s and %s by reuse", "saved",
		units_ms(n[AQ_TALLY_REUSE_MS], time),
		units_bytes(n[AQ_TALLY_REUSE_BYTES], size));
	if (n[AQ_TALLY_INHERIT_MS] || n[AQ_TALLY_INHERIT_BYTES])
		fprintf(out, ", %s and %s by inheritance",
			units_ms(n[AQ_TALLY_INHERIT_MS], time),
			units_bytes(n[AQ_TALLY_INHERIT_BYTES], size));
	fputc('\n', out);
}

/* "stage 0.31 ms", of so many that took 'us' together. */
static const char *print_hook(FILE *out, const char *gap, const char *hook,
			      uint64_t n, uint64_t us)
{
	if (!n)
		return gap;
	fprintf(out, "%s%s %.2f ms", gap, hook,
		(double)us / (double)n / 1000);
	return ", ";
}

static void print_hooks(FILE *out, const struct stats *s)
{
	const uint64_t *n = s->tally.n;
	const char *gap = "";

	if (!n[AQ_TALLY_PROLOGS] && !n[AQ_TALLY_STAGES] &&
	    !n[AQ_TALLY_EPILOGS])
		return;
	fprintf(out, LABEL_FORMAT, "hooks took");
	gap = print_hook(out, gap, "prolog", n[AQ_TALLY_PROLOGS],
			 n[AQ_TALLY_PROLOG_US]);
	gap = print_hook(out, gap, "stage", n[AQ_TALLY_STAGES],
			 n[AQ_TALLY_STAGE_US]);
	print_hook(out, gap, "epilog", n[AQ_TALLY_EPILOGS],
		   n[AQ_TALLY_EPILOG_US]);
	fputs(" on average\n", out);
}

static void print_environments(FILE *out, const struct stats *s)
{
	const struct aq_totals *t = &s->totals;
	char own[UNITS_SIZE], shared[UNITS_SIZE];
	uint64_t n = 0, n_own = 0, n_shared = 0;

	for (size_t k = 0; k <= AQ_ENV_BASE; k++) {
		n += t->kinds[k].n;
		n_own += t->kinds[k].size_own;
		n_shared += t->kinds[k].size_shared;
	}
	fprintf(out, LABEL_FORMAT "%llu", "environments", (unsigned long long)n);
	for (enum aq_env_kind k = AQ_ENV_CREATED; k <= AQ_ENV_BASE; k++)
		if (t->kinds[k].n)
			fprintf(out, ", %llu %s",
				(unsigned long long)t->kinds[k].n,
				aq_env_kind_name(k));
	fprintf(out, "; %llu pinned\n", (unsigned long long)t->n_pinned);
	fprintf(out, LABEL_FORMAT "%s of their own, %s shared\n", "",
		units_bytes(n_own, own), units_bytes(n_shared, shared));
	fprintf(out, LABEL_FORMAT "%llu\n", "references",
		(unsigned long long)s->n_references);
}

static void print_disk(FILE *out, const struct stats *s)
{
	const uint64_t *n = s->tally.n;
	char free_[UNITS_SIZE], limit[UNITS_SIZE], freed[UNITS_SIZE];
	char ago[UNITS_SIZE];

	fprintf(out, LABEL_FORMAT "%s free", "disk",
		s->has_free ? units_bytes(s->free, free_) : "unknown");
	if (s->conf->min_free)
		fprintf(out, ", min_free %s",
			units_bytes(s->conf->min_free, limit));
	if (s->conf->max_size)
		fprintf(out, ", max_size %s",
			units_bytes(s->conf->max_size, limit));
	fprintf(out, "\n" LABEL_FORMAT "%llu environments, %s; last: %s\n",
		"collected", (unsigned long long)n[AQ_TALLY_COLLECTED],
		units_bytes(n[AQ_TALLY_COLLECTED_BYTES], freed),
		units_ago(s->last_collection, s->now, ago));
}

static void print_text(FILE *out, const struct stats *s)
{
	char ago[UNITS_SIZE];

	fprintf(out, LABEL_FORMAT, "cache");
	term_print(out, s->conf->cache_dir);
	fputc('\n', out);
	if (s->tally.since)
		fprintf(out, LABEL_FORMAT "%s\n", "counted since",
			units_ago(s->tally.since, s->now, ago));
	print_lookups(out, s);
	print_saved(out, s);
	print_hooks(out, s);
	print_environments(out, s);
	print_disk(out, s);
}

/* -- JSON -- */

static void write_json(FILE *out, const struct stats *s)
{
	struct json j;

	json_begin(&j, out);
	json_text(&j, "cache_dir", s->conf->cache_dir);
	json_text(&j, "node", s->conf->node);
	json_number(&j, "since", s->tally.since);
	json_open(&j, "counts", '{');
	for (enum aq_tally_what i = 0; i < AQ_TALLY_N; i++)
		json_number(&j, aq_tally_name(i), s->tally.n[i]);
	json_close(&j, '}');
	json_open(&j, "environments", '{');
	for (enum aq_env_kind k = AQ_ENV_CREATED; k <= AQ_ENV_BASE; k++) {
		json_open(&j, aq_env_kind_name(k), '{');
		json_number(&j, "n", s->totals.kinds[k].n);
		json_number(&j, "size_own", s->totals.kinds[k].size_own);
		json_number(&j, "size_shared", s->totals.kinds[k].size_shared);
		json_close(&j, '}');
	}
	json_close(&j, '}');
	json_number(&j, "pinned", s->totals.n_pinned);
	json_number(&j, "bases", s->totals.n_bases);
	json_number(&j, "references", s->n_references);
	json_number(&j, "private_domains", s->n_private);
	if (s->has_free)
		json_number(&j, "free", s->free);
	else
		json_text(&j, "free", NULL);
	json_number(&j, "max_size", s->conf->max_size);
	json_number(&j, "min_free", s->conf->min_free);
	json_number(&j, "last_collection", s->last_collection);
	json_end(&j);
}

/* -- a file -- */

static void write_to(FILE *out, const struct cli *cli, const struct stats *s)
{
	if (cli->has_prometheus)
		prometheus_write(out, s);
	else if (cli->has_json)
		write_json(out, s);
	else
		print_text(out, s);
}

/* Whoever reads FILE finds the old text or the new one, whole.  It is not
 * flushed: after a crash of the machine the next run writes it again.
 */
static int replace(const struct cli *cli, const struct stats *s,
		   struct aq_err *err)
{
	const char *slash = strrchr(cli->output, '/');
	int dir_len = slash ? (int)(slash + 1 - cli->output) : 0;
	cleanup_fclose FILE *out = NULL;
	char temp[PATH_MAX];
	int fd, rc = 0;

	/* in the same directory, by a name that no collector reads */
	if ((size_t)snprintf(temp, sizeof(temp), "%.*s.aq-stats-XXXXXX",
			     dir_len, cli->output) >= sizeof(temp))
		return aq_fail(err, AQ_SYS, "'%s' is too long a path",
			       cli->output);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return aq_fail_errno(err, "cannot make a file beside '%s'",
				     cli->output);
	out = fdopen(fd, "w");
	if (!out) {
		close(fd);
		rc = aq_fail_errno(err, "cannot write '%s'", cli->output);
	}
	if (!rc)
		write_to(out, cli, s);
	if (!rc && (fchmod(fd, 0644) < 0 || fflush(out) != 0 || ferror(out) ||
		    rename(temp, cli->output) < 0))
		rc = aq_fail_errno(err, "cannot write '%s'", cli->output);
	if (rc)
		(void)unlink(temp);
	return rc;
}

int cli_stats(struct cli *cli)
{
	struct stats s = { .conf = cli->conf,
			   .version = PACKAGE_VERSION,
			   .now = (uint64_t)time(NULL) };
	struct aq_err err = { 0 };
	int rc = domains_each(cli, gather, &s, &err);

	s.has_free = aq_collect_get_free(cli->conf, &s.free, NULL) == 0;
	s.last_collection = aq_collect_last(cli->conf);
	if (!rc && cli->output)
		rc = replace(cli, &s, &err);
	else if (!rc)
		write_to(stdout, cli, &s);
	return rc ? cli_fail(&err) : CLI_OK;
}
