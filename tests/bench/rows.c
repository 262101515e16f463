/* SPDX-License-Identifier: Apache-2.0 */
/* rows DIR N AQ: what a cache of N environments costs to look things up in, to
 * list (by the program AQ) and to plan a collection for; see tests/bench/rows.
 * The rows are written by the store's own functions, with an activation, a
 * request and a key each; a tenth inherits from one of three bases, a tenth is a
 * workflow's, a tenth was left by one, a hundredth is referenced.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/collect.h"
#include "common/index.h"
#include "common/key.h"
#include "common/layout.h"
#include "common/lookup.h"
#include "common/store_inside.h"
#include "common/workflow_rows.h"

#define RUNS 5
#define LOOKUPS 1000
#define BASES 3
#define WORKFLOWS_MAX 1000 /* a user; none goes for it */
#define NOW 1800000000u
#define PATH_SIZE 4096

static struct aq_err err;

static void must(int rc, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "rows: %s: %s\n", what, err.text);
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* -- rows -- */

static void make_request(const struct aq_conf *conf, unsigned long i,
			 struct aq_request **ret)
{
	char text[256];
	int len = snprintf(text, sizeof(text),
			   "aq-request 1\nchannel conda-forge\nconda demo ==%lu\n"
			   "conda numpy >=2\nconda scikit-learn ==1.6\n", i);

	must(aq_request_parse(text, (size_t)len, conf, ret, &err), "a request");
}

/* As long as those of an environment with a few activation scripts. */
static void make_ops(struct aq_str *ops, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "/var/lib/aq/envs/%s", name);
	aq_envops_add(ops, AQ_ENVOP_PREPEND, "PATH", path);
	aq_envops_add(ops, AQ_ENVOP_SET, "CONDA_PREFIX", path);
	for (int i = 0; i < 8; i++) {
		char variable[32];

		snprintf(variable, sizeof(variable), "SOME_VARIABLE_%d", i);
		aq_envops_add(ops, AQ_ENVOP_SET, variable, path);
	}
}

static void insert_workflow(struct aq_store *store, unsigned long i,
			    const struct aq_binding *tie)
{
	char name[32];
	const struct aq_workflow_row row = {
		.uid = 1000 + (uint32_t)(i % 1000), .name = name,
		.key = tie->key, .digest = tie->digest, .submitted = i + 1,
	};

	snprintf(name, sizeof(name), "workflow-%lu", i);
	must(aq_workflow_put(store->db, &row, WORKFLOWS_MAX, &err),
	     "a workflow");
}

static void insert(struct aq_store *store, const struct aq_conf *conf,
		   const char *context, unsigned long i,
		   char bases[BASES][AQ_ENV_NAME_SIZE])
{
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	cleanup_request struct aq_request *req = NULL;
	struct aq_env env = { .generation = 1, .kind = AQ_ENV_LINKED,
			      .python = "3.12.4", .build_ms = 1500,
			      .reason = "not inherited: conflicts with the base",
			      .packages = 40 };
	char key[AQ_SHA256_HEX_SIZE];
	struct aq_binding tie = { .key = key, .context = context };

	make_request(conf, i, &req);
	must(aq_key(req, context, key, &err), "a key");
	memcpy(env.lock, req->digest, sizeof(env.lock));
	aq_env_make_name(env.lock, 1, env.name);
	env.created = env.last_used = NOW - i * 7919 % 10000000;
	env.uses = i % 100;
	env.size_own = i * 7907 % 100000000;
	env.size_shared = i * 7901 % 1000000000;
	if (i < BASES) {
		env.kind = AQ_ENV_BASE;
		memcpy(bases[i], env.name, sizeof(env.name));
	} else if (i % 10 == 0) {
		env.kind = AQ_ENV_INHERITED;
		memcpy(env.base, bases[i / 10 % BASES], sizeof(env.base));
	}
	make_ops(&ops, env.name);
	env.ops = ops.s;
	env.ops_len = ops.len;
	tie.digest = req->digest;
	tie.canonical = req->canonical;
	must(aq_store_insert(store->db, &env, &err), "a row");
	tie.is_of_workflow = i % 5 == 0;
	must(aq_store_insert_binding(store->db, env.name, &tie, &err), "a row");
	if (i % 10 == 0)
		insert_workflow(store, i, &tie);
}

static char *make_context(const struct aq_conf *conf)
{
	const struct aq_domain domain = { .kind = AQ_SHARED };
	char *context = NULL;

	must(aq_key_context(conf, &domain, NULL, &context, &err), "a context");
	return context;
}

static void fill(const struct aq_conf *conf, unsigned long n)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_refs struct aq_refs *refs = NULL;
	cleanup_free char *context = make_context(conf);
	static char bases[BASES][AQ_ENV_NAME_SIZE];
	static const char *const pythons[BASES] = { "3.10", "3.11", "3.12" };

	must(aq_store_open(conf, AQ_STORE_WRITE, &store, &err), "the store");
	must(aq_refs_open(conf, &refs, &err), "the references");
	must(aq_db_begin(store->db, &err), "the store");
	for (unsigned long i = 0; i < n; i++)
		insert(store, conf, context, i, bases);
	for (size_t i = 0; i < BASES; i++)
		must(aq_store_insert_base(store->db, pythons[i], bases[i],
					  &err), "a base");
	must(aq_db_end(store->db, 0, &err), "the store");
	for (unsigned long i = 0; i < n; i += 100) {
		const struct aq_step step = { (uint32_t)i + 1, 0, UINT32_MAX };
		cleanup_request struct aq_request *req = NULL;

		make_request(conf, i, &req);
		must(aq_refs_take(refs, &step, req->digest, &err), "a reference");
	}
}

/* -- what is measured -- */

static double time_find(const struct aq_conf *conf, unsigned long n)
{
	cleanup_store struct aq_store *store = NULL;
	cleanup_free char *context = make_context(conf);
	static double ms[LOOKUPS];

	must(aq_store_open(conf, AQ_STORE_READ, &store, &err), "the store");
	for (unsigned long i = 0; i < LOOKUPS; i++) {
		cleanup_request struct aq_request *req = NULL;
		cleanup_env struct aq_env *env = NULL;

		make_request(conf, i * 7919 % n, &req);
		ms[i] = now_ms();
		must(aq_store_find(store, req->digest, context, req->canonical,
				   &env, &err), "a look-up");
		ms[i] = now_ms() - ms[i];
	}
	return median(ms, LOOKUPS);
}

/* As the stage hook's worker does it: opened, the base chosen, answered. */
static double time_look_up(const struct aq_conf *conf, unsigned long n)
{
	static double ms[LOOKUPS];
	static struct aq_answer answer;

	for (unsigned long i = 0; i < LOOKUPS; i++) {
		cleanup_request struct aq_request *req = NULL;
		bool is_plain;

		make_request(conf, i * 7919 % n, &req);
		ms[i] = now_ms();
		must(aq_look_up(conf, req, &answer, &is_plain, &err),
		     "a look-up");
		ms[i] = now_ms() - ms[i];
	}
	return median(ms, LOOKUPS);
}

static double time_name(const struct aq_conf *conf, unsigned long n)
{
	cleanup_store struct aq_store *store = NULL;
	static double ms[LOOKUPS];

	must(aq_store_open(conf, AQ_STORE_READ, &store, &err), "the store");
	for (unsigned long i = 0; i < LOOKUPS; i++) {
		cleanup_request struct aq_request *req = NULL;
		cleanup_env struct aq_env *env = NULL;
		char name[17];

		make_request(conf, i * 7919 % n, &req);
		snprintf(name, sizeof(name), "%.16s", req->digest);
		ms[i] = now_ms();
		must(aq_store_find_name(store, name, &env, &err), "a name");
		ms[i] = now_ms() - ms[i];
	}
	return median(ms, LOOKUPS);
}

static double time_plan(const struct aq_conf *conf)
{
	const struct aq_collect_state state = { .now = NOW,
						.size = UINT64_MAX / 4,
						.free = 0,
						.max_freed = UINT64_MAX };
	double ms[RUNS];

	for (size_t i = 0; i < RUNS; i++) {
		cleanup_plan struct aq_plan plan = { 0 };

		ms[i] = now_ms();
		must(aq_collect_plan(conf, &state, &plan, &err), "a plan");
		ms[i] = now_ms() - ms[i];
	}
	return median(ms, RUNS);
}

static double time_index(const struct aq_conf *conf)
{
	double ms[RUNS];

	for (size_t i = 0; i < RUNS; i++) {
		ms[i] = now_ms();
		must(aq_index_write(conf, &err), "the index");
		ms[i] = now_ms() - ms[i];
	}
	return median(ms, RUNS);
}

/* Opened as a builder does, who reads every page. */
static double time_open(const struct aq_conf *conf)
{
	double ms[RUNS];

	for (size_t i = 0; i < RUNS; i++) {
		cleanup_store struct aq_store *store = NULL;

		ms[i] = now_ms();
		must(aq_store_open(conf, AQ_STORE_BUILD, &store, &err),
		     "the store");
		ms[i] = now_ms() - ms[i];
	}
	return median(ms, RUNS);
}

struct cost {
	double cpu_ms; /* the median too */
	long kb;       /* the most that it had in memory */
};

static double in_ms(const struct timeval *t)
{
	return (double)t->tv_sec * 1e3 + (double)t->tv_usec / 1e3;
}

/* aq --config conf->path list … */
static double time_program(const char *aq, const struct aq_conf *conf,
			   const char *const words[3], struct cost *ret)
{
	double ms[RUNS], cpu[RUNS];

	ret->kb = 0;
	for (size_t i = 0; i < RUNS; i++) {
		struct rusage usage;
		int status;
		pid_t pid;

		ms[i] = now_ms();
		pid = fork();
		if (pid == 0) {
			if (!freopen("/dev/null", "w", stdout))
				_exit(1);
			execl(aq, "aq", "--config", conf->path, "list",
			      words[0], words[1], words[2], (char *)NULL);
			_exit(127);
		}
		if (pid < 0 || wait4(pid, &status, 0, &usage) < 0 || status) {
			fprintf(stderr, "rows: '%s' failed\n", aq);
			exit(1);
		}
		ms[i] = now_ms() - ms[i];
		cpu[i] = in_ms(&usage.ru_utime) + in_ms(&usage.ru_stime);
		if (usage.ru_maxrss > ret->kb)
			ret->kb = usage.ru_maxrss;
	}
	ret->cpu_ms = median(cpu, RUNS);
	return median(ms, RUNS);
}

static void report(const char *what, double is, double goal, const char *unit)
{
	if (goal > 0)
		printf("%-40s %10.3f %10g %-4s %s\n", what, is, goal, unit,
		       is <= goal ? "ok" : "MISSED");
	else
		printf("%-40s %10.3f %10s %-4s\n", what, is, "", unit);
	fflush(stdout);
}

static void report_list(const char *aq, const struct aq_conf *conf,
			const char *const words[3])
{
	struct cost cost;
	char what[64];

	snprintf(what, sizeof(what), "aq list%s%s%s%s", words[0] ? " " : "",
		 words[0] ? words[0] : "", words[1] ? " " : "",
		 words[1] ? words[1] : "");
	report(what, time_program(aq, conf, words, &cost), 500, "ms");
	report("  of a processor's time", cost.cpu_ms, 0, "ms");
	report("  its memory", (double)cost.kb / 1024, 64, "MiB");
}

static struct aq_conf *load(const char *dir)
{
	struct aq_conf *conf = NULL;
	char path[PATH_SIZE];
	FILE *f;

	snprintf(path, sizeof(path), "%s/aq.conf", dir);
	f = fopen(path, "w");
	if (!f) {
		perror(path);
		exit(1);
	}
	fprintf(f, "cache_dir = %s/lib\nrun_dir = %s/run\nmax_size = 1\n"
		"channels = conda-forge=https://conda.example.org/conda-forge\n",
		dir, dir);
	fclose(f);
	must(aq_conf_load(path, NULL, &conf, &err), "aq.conf");
	return conf;
}

int main(int argc, char **argv)
{
	static const char *const lists[][3] = {
		{ NULL }, { "--json" }, { "--sort", "used" }, { "--shared" },
	};
	cleanup_conf struct aq_conf *conf = NULL;
	unsigned long n;

	if (argc != 4) {
		fputs("usage: rows DIR N AQ\n", stderr);
		return 2;
	}
	n = strtoul(argv[2], NULL, 10);
	conf = load(argv[1]);
	must(aq_layout_prepare(conf, &err), "directories");
	fill(conf, n);
	printf("%-40s %10s %10s\n", "", "measured", "goal");
	report("find a request", time_find(conf, n), 1, "ms");
	report("look up, with opening", time_look_up(conf, n), 1, "ms");
	report("find the beginning of a name", time_name(conf, n), 1, "ms");
	report("plan a collection", time_plan(conf), 1000, "ms");
	report("write the public index", time_index(conf), 0, "ms");
	report("open as a builder, with every page read", time_open(conf), 0,
	       "ms");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		report_list(argv[3], conf, lists[i]);
	return 0;
}
