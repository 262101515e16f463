/* SPDX-License-Identifier: Apache-2.0 */
#include "common/job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/io.h"
#include "common/layout.h"

#define PATH_SIZE 1024
/* A mark's text: what one job asks for and refreshes, a line of about 100 bytes
 * each, and a short one for each step.
 */
#define MARK_MAX (5 * 1024 * 1024)
/* Over this nothing is added but what holds: a user may start as many steps as they
 * like, and collectors read all of it.
 */
#define MARK_NOTES_MAX (4 * 1024 * 1024)
#define HOLDS "holds "
#define PROLOG "prolog "
#define REFRESHED "refreshed "
#define WORKFLOW "workflow\n"
#define USED "used "

int aq_boot_id(char ret[AQ_BOOT_ID_SIZE], struct aq_err *err)
{
	cleanup_close int fd = open("/proc/sys/kernel/random/boot_id",
				    O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, ret, AQ_BOOT_ID_SIZE - 1)) < 0 &&
	       errno == EINTR)
		;
	if (n <= 0)
		return aq_fail_errno(err, "cannot read the boot id");
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

void aq_job_mark_name(const struct aq_conf *conf, uint32_t job, char *ret,
		      size_t size)
{
	snprintf(ret, size, "%s/jobs/%u.%s", conf->run_dir, job, conf->node);
}

/* Open it at its end, with one line more unless that is "". */
static int add_line(const struct aq_conf *conf, uint32_t job, const char *line,
		    struct aq_err *err)
{
	char path[PATH_SIZE];
	cleanup_close int fd = -1;
	size_t len = strlen(line);
	struct stat st;
	int rc;

	aq_job_mark_name(conf, job, path, sizeof(path));
	rc = aq_open_own(AT_FDCWD, path, &fd, err);
	if (rc || !len)
		return rc;
	if (!aq_starts_with(line, HOLDS) &&
	    (fstat(fd, &st) < 0 || st.st_size > MARK_NOTES_MAX))
		return 0;
	/* one write at the end: whole, however many add theirs */
	if (fcntl(fd, F_SETFL, O_APPEND) < 0 ||
	    write(fd, line, len) != (ssize_t)len)
		return aq_fail_errno(err, "cannot write '%s'", path);
	return 0;
}

int aq_job_mark(const struct aq_conf *conf, uint32_t job, struct aq_err *err)
{
	return add_line(conf, job, "", err);
}

bool aq_job_is_marked(const struct aq_conf *conf, uint32_t job)
{
	char path[PATH_SIZE];

	aq_job_mark_name(conf, job, path, sizeof(path));
	return access(path, F_OK) == 0;
}

int aq_job_hold(const struct aq_conf *conf, uint32_t job, const char *digest,
		int64_t since_us, struct aq_err *err)
{
	char boot[AQ_BOOT_ID_SIZE], line[256];
	int rc;

	if (!aq_is_hex(digest, AQ_SHA256_HEX_SIZE - 1))
		return aq_fail(err, AQ_USER, "this is no digest of a request");
	rc = aq_boot_id(boot, err);
	if (rc)
		return rc;
	snprintf(line, sizeof(line), HOLDS "%s %s\n" PROLOG "%" PRId64 "\n",
		 boot, digest, aq_now_us() - since_us);
	if (aq_layout_is_trusted(conf) && add_line(conf, job, line, NULL) == 0)
		return 0;
	/* the first job since the boot? */
	rc = aq_layout_prepare(conf, err);
	return rc ? rc : add_line(conf, job, line, err);
}

int aq_job_unmark(const struct aq_conf *conf, uint32_t job, struct aq_err *err)
{
	char path[PATH_SIZE];

	aq_job_mark_name(conf, job, path, sizeof(path));
	if (unlink(path) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove '%s'", path);
	return 0;
}

static bool has_line(const struct aq_conf *conf, uint32_t job, const char *line)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(MARK_MAX);
	char path[PATH_SIZE];

	aq_job_mark_name(conf, job, path, sizeof(path));
	return aq_read_file(AT_FDCWD, path, &text, NULL) == 0 &&
	       strstr(aq_str_get(&text), line);
}

bool aq_job_has_refreshed(const struct aq_conf *conf, uint32_t job,
			  const char *key)
{
	char line[128];

	snprintf(line, sizeof(line), REFRESHED "%s\n", key);
	return has_line(conf, job, line);
}

int aq_job_note_refresh(const struct aq_conf *conf, uint32_t job,
			const char *key, struct aq_err *err)
{
	char line[128];

	if (!aq_job_is_marked(conf, job))
		return 0; /* its epilog came while others waited */
	snprintf(line, sizeof(line), REFRESHED "%s\n", key);
	return add_line(conf, job, line, err);
}

bool aq_job_has_workflow(const struct aq_conf *conf, uint32_t job)
{
	return has_line(conf, job, WORKFLOW);
}

int aq_job_note_workflow(const struct aq_conf *conf, uint32_t job,
			 struct aq_err *err)
{
	return aq_job_has_workflow(conf, job) ?
		       0 : add_line(conf, job, WORKFLOW, err);
}

int aq_job_note_use(const struct aq_conf *conf, uint32_t job, const char *env,
		    int64_t since_us, struct aq_err *err)
{
	char line[128];

	snprintf(line, sizeof(line), USED "%s %" PRId64 "\n", env,
		 aq_now_us() - since_us);
	return add_line(conf, job, line, err);
}

/* One hook more, which took what stands at 'text' up to the line's end. */
static void add_took(const char *text, struct aq_tally *tally,
		     enum aq_tally_what n, enum aq_tally_what us)
{
	tally->n[n]++;
	tally->n[us] += strtoull(text, NULL, 10);
}

int aq_job_uses(const struct aq_conf *conf, uint32_t job, struct aq_strv *ret,
		struct aq_tally *tally, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(MARK_MAX);
	char path[PATH_SIZE];
	int rc;

	aq_job_mark_name(conf, job, path, sizeof(path));
	rc = aq_read_file(AT_FDCWD, path, &text, err);
	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	for (const char *p = aq_str_get(&text); *p; p = aq_next_line(p)) {
		if (aq_starts_with(p, PROLOG)) {
			add_took(p + strlen(PROLOG), tally, AQ_TALLY_PROLOGS,
				 AQ_TALLY_PROLOG_US);
		} else if (aq_starts_with(p, USED)) {
			const char *env = p + strlen(USED);
			size_t len = strcspn(env, " \n");

			aq_strv_add_mem(ret, env, len);
			add_took(env + len, tally, AQ_TALLY_STAGES,
				 AQ_TALLY_STAGE_US);
		}
	}
	return aq_strv_done(ret, "what a job used", err);
}

/* What the last line says that is of this boot: a job that was requeued has
 * several.
 */
static void find_digest(char *text, const char *boot,
			char ret[AQ_SHA256_HEX_SIZE])
{
	char *save = NULL, prefix[128];

	snprintf(prefix, sizeof(prefix), HOLDS "%s ", boot);
	ret[0] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (aq_starts_with(line, prefix) &&
		    aq_is_hex(line + strlen(prefix), AQ_SHA256_HEX_SIZE - 1))
			(void)!aq_copy_text(ret, AQ_SHA256_HEX_SIZE,
					    line + strlen(prefix));
}

/* "JOB.NODE" */
static bool parse_name(const char *name, uint32_t *ret_job,
		       const char **ret_node)
{
	char number[16];
	const char *dot = strchr(name, '.');
	size_t len = dot ? (size_t)(dot - name) : 0;
	uint64_t job;

	if (!len || len >= sizeof(number))
		return false;
	memcpy(number, name, len);
	number[len] = '\0';
	if (!aq_parse_u64(number, UINT32_MAX, &job))
		return false;
	*ret_job = (uint32_t)job;
	*ret_node = dot + 1;
	return true;
}

static int call(int dirfd, const char *name, const char *boot,
		aq_job_each_fn *fn, void *arg, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(MARK_MAX);
	char digest[AQ_SHA256_HEX_SIZE] = "";
	const char *node;
	uint32_t job;
	int rc;

	if (!parse_name(name, &job, &node))
		return 0;
	rc = aq_read_file(dirfd, name, &text, err);
	if (rc) /* its epilog came meanwhile */
		return rc == AQ_MISS ? 0 : rc;
	if (text.s)
		find_digest(text.s, boot, digest);
	return fn(job, node, digest, arg, err);
}

int aq_job_each(const struct aq_conf *conf, aq_job_each_fn *fn, void *arg,
		struct aq_err *err)
{
	char path[PATH_SIZE], boot[AQ_BOOT_ID_SIZE];
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *e;
	int rc = aq_boot_id(boot, err);

	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s/jobs", conf->run_dir);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ?
			0 : aq_fail_errno(err, "cannot read '%s'", path);
	while (!rc && (errno = 0, e = readdir(dir)))
		rc = call(dirfd(dir), e->d_name, boot, fn, arg, err);
	return rc || !errno ? rc : aq_fail_errno(err, "cannot read '%s'", path);
}
