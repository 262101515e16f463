/* SPDX-License-Identifier: Apache-2.0 */
/* phases LIBRARY AQ.CONF NODE REQUEST DIGEST N: what each root hook of a step's start
 * and end costs when the environment is there: N times a prolog, a stage, a
 * release and an epilog, each in a worker that loads the library afresh, as in
 * Slurm's processes; beside a worker that does nothing, and one that only loads
 * the library.  REQUEST is a file of canonical bytes.  Prints the median and the
 * 99th percentile of each in microseconds, and the median's ratio to the empty
 * worker's.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/hit.h"
#include "common/job.h"
#include "common/lease.h"
#include "common/phases.h"
#include "common/worker.h"

#define TIMES_MAX 100000
#define FIRST_JOB 4000000000u /* above Slurm's MaxJobId: nobody's */

static const char *library_path, *conf_path, *node;
static char request[AQ_REQUEST_CANONICAL_MAX + 1];
static struct aq_answer *answer;
static uint32_t job;
static char digest[AQ_SHA256_HEX_SIZE]; /* of the request: the prolog's */
static int lease_fd = -1; /* as slurmstepd has it from stage to release */

static void *load(const char *symbol)
{
	void *lib = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
	void *address = lib ? dlsym(lib, symbol) : NULL;

	if (!address)
		_exit(1);
	return address;
}

static int nothing(void *arg, struct aq_err *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static int only_load(void *arg, struct aq_err *err)
{
	(void)arg;
	(void)err;
	load("aq_phase_stage");
	return 0;
}

static int epilog(void *arg, struct aq_err *err)
{
	const struct aq_job j = { .conf_path = conf_path, .node = node,
				  .job = job };
	aq_phase_job_fn *fn;
	void *address = load("aq_phase_epilog");

	(void)arg;
	memcpy(&fn, &address, sizeof(fn));
	return fn(&j, err);
}

static int prolog(void *arg, struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(conf_path, node, &conf, err);

	(void)arg;
	return rc ? rc : aq_job_hold(conf, job, digest, 0, err);
}

static struct aq_stage stage_of(void)
{
	return (struct aq_stage){
		.conf_path = conf_path,
		.node = node,
		.step = { job, 0, UINT32_MAX },
		.canonical = request,
		.canonical_len = strlen(request),
		.answer = answer,
	};
}

static int stage(void *arg, struct aq_err *err)
{
	struct aq_stage s = stage_of();
	aq_phase_stage_fn *fn;
	void *address;
	int rc = aq_hit(&s, err);

	(void)arg;
	if (rc != AQ_MISS)
		return rc;
	address = load("aq_phase_stage");
	memcpy(&fn, &address, sizeof(fn));
	return fn(&s, err);
}

static int release(void *arg, struct aq_err *err)
{
	(void)arg;
	return aq_lease_end(lease_fd, err);
}

static const struct {
	const char *name;
	int (*fn)(void *arg, struct aq_err *err);
} cases[] = {
	{ "nothing", nothing }, { "library", only_load },
	{ "prolog", prolog },   { "stage", stage },
	{ "release", release }, { "epilog", epilog },
};
static double times[ARRAY_LEN(cases)][TIMES_MAX];

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int keep_lease(struct aq_err *err)
{
	const struct aq_stage s = stage_of();
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(conf_path, node, &conf, err);

	aq_close_fd(&lease_fd);
	return rc ? rc : aq_lease_acquire(conf, &s.step, &lease_fd, err);
}

static bool run_once(size_t turn)
{
	static struct aq_err err;

	job = FIRST_JOB + (uint32_t)turn;
	memset(answer, 0, sizeof(*answer));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		double start = now_us();
		int rc = aq_worker_run(cases[i].fn, NULL, AQ_WORKER_DEADLINE_MS,
				       lease_fd, &err);

		times[i][turn] = now_us() - start;
		if (!rc && cases[i].fn == stage)
			rc = keep_lease(&err);
		if (rc) {
			fprintf(stderr, "%s: class %d: %s\n", cases[i].name, rc,
				err.text);
			return false;
		}
	}
	return true;
}

static bool read_request(const char *path)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(request, 1, sizeof(request) - 1, f) : 0;

	if (f)
		fclose(f);
	return n > 0;
}

int main(int argc, char **argv)
{
	size_t n = argc == 7 ? strtoul(argv[6], NULL, 10) : 0;

	if (!n || n > TIMES_MAX || !read_request(argv[4]) ||
	    strlen(argv[5]) >= sizeof(digest)) {
		fprintf(stderr, "usage: phases LIBRARY AQ.CONF NODE REQUEST DIGEST N\n");
		return 2;
	}
	library_path = argv[1];
	conf_path = argv[2];
	node = argv[3];
	memcpy(digest, argv[5], strlen(argv[5]) + 1);
	answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answer == MAP_FAILED)
		return 3;
	for (size_t i = 0; i < n; i++)
		if (!run_once(i))
			return 1;
	printf("%-10s %10s %10s %8s\n", "worker", "median us", "99 % us", "ratio");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		qsort(times[i], n, sizeof(double), by_value);
		printf("%-10s %10.0f %10.0f %8.1f\n", cases[i].name,
		       times[i][n / 2], times[i][n * 99 / 100],
		       times[i][n / 2] / times[0][n / 2]);
	}
	return 0;
}
