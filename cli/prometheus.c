/* SPDX-License-Identifier: Apache-2.0 */
/* https://prometheus.io/docs/instrumenting/exposition_formats/: a family of
 * samples at a time, base units, names that end with what they count.
 */
#include <string.h>

#include "cli/stats.h"
#include "common/text.h"

struct family {
	FILE *out;
	const char *name;
};

static struct family begin(FILE *out, const char *name, const char *type,
			   const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
	return (struct family){ out, name };
}

/* Label values are UTF-8; a backslash, a quote and a newline are escaped. */
static void write_value(FILE *out, const char *text)
{
	const char *end = text + strlen(text);
	size_t len;

	for (; text < end; text += len) {
		len = aq_utf8_len(text, end);
		if (len == 0) {
			len = 1;
			fputs("\xef\xbf\xbd", out);
		} else if (*text == '\n') {
			fputs("\\n", out);
		} else {
			if (*text == '"' || *text == '\\')
				fputc('\\', out);
			fwrite(text, 1, len, out);
		}
	}
}

static void write_label(FILE *out, char before, const char *label,
			const char *value)
{
	fprintf(out, "%c%s=\"", before, label);
	write_value(out, value);
	fputc('"', out);
}

/* What is before a sample's value: its name, with a label unless that is NULL. */
static void lead(struct family f, const char *label, const char *value)
{
	fputs(f.name, f.out);
	if (label) {
		write_label(f.out, '{', label, value);
		fputc('}', f.out);
	}
}

static void sample(struct family f, const char *label, const char *value,
		   uint64_t n)
{
	lead(f, label, value);
	fprintf(f.out, " %llu\n", (unsigned long long)n);
}

/* Milliseconds, as the seconds that Prometheus wants. */
static void sample_ms(struct family f, const char *label, const char *value,
		      uint64_t ms)
{
	lead(f, label, value);
	fprintf(f.out, " %llu.%03llu\n", (unsigned long long)(ms / 1000),
		(unsigned long long)(ms % 1000));
}

static void sample_us(struct family f, const char *label, const char *value,
		      uint64_t us)
{
	lead(f, label, value);
	fprintf(f.out, " %llu.%06llu\n", (unsigned long long)(us / 1000000),
		(unsigned long long)(us % 1000000));
}

static const struct {
	const char *name;
	enum aq_tally_what n, us;
} hooks[] = {
	{ "prolog", AQ_TALLY_PROLOGS, AQ_TALLY_PROLOG_US },
	{ "stage", AQ_TALLY_STAGES, AQ_TALLY_STAGE_US },
	{ "epilog", AQ_TALLY_EPILOGS, AQ_TALLY_EPILOG_US },
};

static void write_counters(FILE *out, const struct stats *s)
{
	const uint64_t *n = s->tally.n;
	struct family f = begin(out, "aq_lookups_total", "counter",
				"Look-ups of steps, aq build and aq run, by how they came out.");

	for (enum aq_tally_what i = 0; i < AQ_TALLY_OUTCOMES; i++)
		sample(f, "outcome", aq_tally_name(i), n[i]);
	f = begin(out, "aq_build_seconds_total", "counter",
		  "What builds that succeeded took.");
	sample_ms(f, NULL, NULL, n[AQ_TALLY_BUILD_MS]);
	f = begin(out, "aq_build_bytes_total", "counter",
		  "What they added to the disk, without the package caches.");
	sample(f, NULL, NULL, n[AQ_TALLY_BUILD_BYTES]);
	f = begin(out, "aq_saved_seconds_total", "counter",
		  "What builds would have taken that hits, or inheriting, made unnecessary.");
	sample_ms(f, "by", "reuse", n[AQ_TALLY_REUSE_MS]);
	sample_ms(f, "by", "inheritance", n[AQ_TALLY_INHERIT_MS]);
	f = begin(out, "aq_saved_bytes_total", "counter",
		  "What those builds would have held on disk.");
	sample(f, "by", "reuse", n[AQ_TALLY_REUSE_BYTES]);
	sample(f, "by", "inheritance", n[AQ_TALLY_INHERIT_BYTES]);
	f = begin(out, "aq_hooks_total", "counter",
		  "Hooks of jobs that used the cache; stages are those that hit.");
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		sample(f, "hook", hooks[i].name, n[hooks[i].n]);
	f = begin(out, "aq_hook_seconds_total", "counter",
		  "What those took.");
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		sample_us(f, "hook", hooks[i].name, n[hooks[i].us]);
	f = begin(out, "aq_collected_environments_total", "counter",
		  "Environments that were collected.");
	sample(f, NULL, NULL, n[AQ_TALLY_COLLECTED]);
	f = begin(out, "aq_collected_bytes_total", "counter",
		  "What collecting freed, entries of package caches included.");
	sample(f, NULL, NULL, n[AQ_TALLY_COLLECTED_BYTES]);
}

static void write_environments(FILE *out, const struct aq_totals *t)
{
	struct family f = begin(out, "aq_environments", "gauge",
				"Environments of the cache.");

	for (enum aq_env_kind k = AQ_ENV_CREATED; k <= AQ_ENV_BASE; k++)
		sample(f, "kind", aq_env_kind_name(k), t->kinds[k].n);
	f = begin(out, "aq_environment_own_bytes", "gauge",
		  "What environments alone held when they were built.");
	for (enum aq_env_kind k = AQ_ENV_CREATED; k <= AQ_ENV_BASE; k++)
		sample(f, "kind", aq_env_kind_name(k), t->kinds[k].size_own);
	f = begin(out, "aq_environment_shared_bytes", "gauge",
		  "What they shared with package caches and others instead of holding it.");
	for (enum aq_env_kind k = AQ_ENV_CREATED; k <= AQ_ENV_BASE; k++)
		sample(f, "kind", aq_env_kind_name(k), t->kinds[k].size_shared);
	f = begin(out, "aq_pinned_environments", "gauge",
		  "Environments that are kept, whatever is collected.");
	sample(f, NULL, NULL, t->n_pinned);
	f = begin(out, "aq_bases", "gauge",
		  "Environments that others inherit from now.");
	sample(f, NULL, NULL, t->n_bases);
}

static void write_info(FILE *out, const struct stats *s)
{
	struct family f = begin(out, "aq_info", "gauge", "Whose figures these are.");

	fputs(f.name, out);
	write_label(out, '{', "version", s->version);
	write_label(out, ',', "node", s->conf->node);
	write_label(out, ',', "cache_dir", s->conf->cache_dir);
	fputs("} 1\n", out);
}

void prometheus_write(FILE *out, const struct stats *s)
{
	struct family f;

	write_info(out, s);
	write_counters(out, s);
	write_environments(out, &s->totals);
	f = begin(out, "aq_references", "gauge",
		  "Steps that hold environments.");
	sample(f, NULL, NULL, s->n_references);
	f = begin(out, "aq_max_size_bytes", "gauge",
		  "max_size of aq.conf; 0 is no limit.");
	sample(f, NULL, NULL, s->conf->max_size);
	f = begin(out, "aq_min_free_bytes", "gauge",
		  "min_free of aq.conf; 0 is no limit.");
	sample(f, NULL, NULL, s->conf->min_free);
	if (s->has_free) {
		f = begin(out, "aq_free_bytes", "gauge",
			  "Free on the file system of cache_dir.");
		sample(f, NULL, NULL, s->free);
	}
	if (s->last_collection) {
		f = begin(out, "aq_last_collection_timestamp_seconds", "gauge",
			  "When aq gc ended last.");
		sample(f, NULL, NULL, s->last_collection);
	}
}
