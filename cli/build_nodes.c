/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/build_nodes.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/nodes.h"
#include "cli/program.h"
#include "cli/term.h"
#include "common/answer.h"
#include "common/io.h"

/* Several sruns, of some 10 MB each, and several downloads. */
#define AT_ONCE 16
#define SAID_MAX (256 * 1024) /* bytes of what one node says that are looked at */

/* The plugin tells, and no program of ours runs in what was built: that is the request's
 * to change, and we may be root.
 */
#define NOBODY_TOLD "echo 'Slurm has no plugin of slurm-aq there' >&2; exit 1"

/* A node that is at work. */
struct work {
	char *node; /* a NUL, and its partition; NULL: there is none */
	pid_t pid;
	int out, errors;
};

struct building {
	const struct cli *cli;
	const char *file;
	struct aq_strv nodes;
	size_t next, n_done;
	struct work at[AT_ONCE];
	struct term_progress progress;
	struct json json;
	bool has_begun; /* to print JSON */
	bool has_refused, has_failed;
};

/* -- what is said of one -- */

/* Why there is none: what its task said of that, or else srun. */
static const char *find_reason(const char *said, bool *ret_is_request)
{
	const char *request = strstr(said, AQ_SAYS_REQUEST);
	const char *why = request ? request : strstr(said, AQ_SAYS_NODE);

	*ret_is_request = request != NULL;
	return why ? aq_next_line(why) : said;
}

/* The lines of 'said' as they are without our name and the node's before them, and
 * without what srun says of a task that has said it all itself.
 */
static void add_reason(const char *said, const char *node, struct aq_str *ret)
{
	char ours[HOST_NAME_MAX + 8];

	snprintf(ours, sizeof(ours), "aq: %s: ", node);
	for (const char *p = said; *p; p = aq_next_line(p)) {
		bool is_ours = aq_starts_with(p, ours);
		const char *text = is_ours ? p + strlen(ours) : p;

		if (ret->len && aq_starts_with(p, "srun: "))
			continue;
		if (ret->len)
			aq_str_add_char(ret, '\n');
		aq_str_add_mem(ret, text, strcspn(text, "\n"));
	}
	if (!ret->len)
		aq_str_add(ret, "srun failed without a word");
}

static void write_json(struct building *b, const char *node,
		       char *const told[3], const char *why)
{
	json_open(&b->json, NULL, '{');
	json_text(&b->json, "node", node);
	json_text(&b->json, "resolution", why ? "failed" : told[0]);
	json_text(&b->json, "prefix", why ? NULL : told[1]);
	json_text(&b->json, "lock", why ? NULL : told[2]);
	json_text(&b->json, "error", why);
	json_close(&b->json, '}');
}

/* The first line beside the others' results; the rest, a client's words, besides. */
static void print_text(const char *node, char *const told[3], const char *why)
{
	cleanup_free char *first = why ? strndup(why, strcspn(why, "\n")) : NULL;
	const char *rest = why ? aq_next_line(why) : "";

	term_print(stdout, node);
	fputs(why ? ": failed: " : ": ", stdout);
	term_print(stdout, !why ? told[0] : first ? first : "out of memory");
	if (!why) {
		fputs("  ", stdout);
		term_print(stdout, told[1]);
	}
	putchar('\n');
	fflush(stdout);
	for (; *rest; rest = aq_next_line(rest)) {
		cleanup_free char *line = strndup(rest, strcspn(rest, "\n"));

		fputs("aq: ", stderr);
		term_print(stderr, node);
		fputs(": ", stderr);
		term_print(stderr, line ? line : "out of memory");
		fputc('\n', stderr);
	}
}

/* Three lines, which become texts of their own. */
static bool split(char *text, char *ret[3])
{
	for (size_t i = 0; i < 3; i++) {
		char *end = strchr(text, '\n');

		if (!end)
			return false;
		*end = '\0';
		ret[i] = text;
		text = end + 1;
	}
	return true;
}

static void read_said(int fd, struct aq_str *ret)
{
	char *p;

	if (lseek(fd, 0, SEEK_SET) == 0)
		(void)!aq_read_open(fd, "what srun said", ret, NULL);
	for (p = ret->s; p && (p = strpbrk(p, "\r\t")); p++)
		*p = ' ';
}

/* It has ended so. */
static void conclude(struct building *b, struct work *w, int status)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(SAID_MAX);
	cleanup_str struct aq_str said = AQ_STR_INIT(SAID_MAX);
	cleanup_str struct aq_str why = AQ_STR_INIT(SAID_MAX);
	struct aq_err err = { 0 };
	bool is_request = false, is_there;
	char *told[3] = { NULL };

	read_said(w->out, &out);
	read_said(w->errors, &said);
	is_there = program_judge("srun", status, &err) == 0 && out.s &&
		   split(out.s, told);
	if (!is_there) {
		add_reason(find_reason(aq_str_get(&said), &is_request), w->node,
			   &why);
		*(is_request ? &b->has_refused : &b->has_failed) = true;
	}
	if (b->cli->has_json)
		write_json(b, w->node, told, is_there ? NULL : aq_str_get(&why));
	else
		print_text(w->node, told, is_there ? NULL : aq_str_get(&why));
	aq_close_fd(&w->out);
	aq_close_fd(&w->errors);
	w->node = NULL;
	b->n_done++;
}

/* -- all of them -- */

static int start(struct building *b, struct work *w, struct aq_err *err)
{
	char *node = b->nodes.v[b->next], *partition = strchr(node, ' ');
	const char *const argv[] = {
		"srun", "--quiet", "--nodes=1", "--ntasks=1",
		"--immediate=" NODES_IMMEDIATE, "--job-name=aq-build",
		"--nodelist", node, "--partition", partition + 1,
		"--aq-requirements", b->file,
		/* the latter is what srun does anyway */
		b->cli->is_isolated ? "--aq-isolated" : "--export=ALL",
		"/bin/sh", "-c", NOBODY_TOLD, NULL,
	};
	int rc;

	*partition = '\0';
	w->out = memfd_create("out", MFD_CLOEXEC);
	w->errors = memfd_create("errors", MFD_CLOEXEC);
	if (w->out < 0 || w->errors < 0)
		return aq_fail_errno(err, "cannot hold what srun says");
	rc = program_start(argv, w->out, w->errors, &w->pid, err);
	if (rc)
		return rc;
	w->node = node;
	b->next++;
	return 0;
}

static int start_more(struct building *b, struct aq_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < AT_ONCE && b->next < b->nodes.n; i++)
		if (!b->at[i].node)
			rc = start(b, &b->at[i], err);
	return rc;
}

/* Only a line that moves: each node has one of its own in any case. */
static void show(struct building *b)
{
	int len = snprintf(b->progress.last, sizeof(b->progress.last),
			   "%zu of %zu nodes have it or not", b->n_done,
			   b->nodes.n);

	if (len > 0)
		term_progress_tick(&b->progress);
}

/* Those that have ended; true: there were some. */
static bool collect(struct building *b)
{
	bool is_any = false;
	int status;

	for (size_t i = 0; i < AT_ONCE; i++) {
		struct work *w = &b->at[i];

		if (!w->node || waitpid(w->pid, &status, WNOHANG) != w->pid)
			continue;
		if (!is_any)
			term_progress_end(&b->progress);
		is_any = true;
		conclude(b, w, status);
	}
	return is_any;
}

static int run(struct building *b, struct aq_err *err)
{
	int rc = 0;

	while (!rc && b->n_done < b->nodes.n) {
		rc = start_more(b, err);
		if (!rc && !collect(b)) {
			show(b);
			(void)poll(NULL, 0, TERM_TICK_MS);
		}
	}
	term_progress_end(&b->progress);
	return rc; /* what is left ends with us (program_start()) */
}

static int begin(struct building *b, char path[PATH_MAX], struct aq_err *err)
{
	int rc;

	if (b->cli->is_refresh)
		return aq_fail(err, AQ_USER,
			       "--refresh is once a job, and --nodes starts one a node: use 'srun --nodelist=%s --aq-refresh --aq-requirements=FILE true'",
			       b->cli->nodes);
	if (strcmp(b->file, "-") == 0)
		return aq_fail(err, AQ_USER,
			       "with --nodes the request must be in a file, not on standard input");
	rc = nodes_leave_job(err);
	if (!rc && !realpath(b->file, path))
		rc = aq_fail_errno(err, "cannot find '%s'", b->file);
	b->file = path;
	/* so that whose fault it is gets told, too */
	if (!rc && (setenv(AQ_VERBOSE, "1", 1) < 0 || setenv(AQ_TELL, "1", 1) < 0))
		rc = aq_fail_errno(err, "cannot set a variable");
	return rc ? rc : nodes_find(b->cli->nodes, &b->nodes, err);
}

int build_on_nodes(const struct cli *cli, const char *file)
{
	struct building b = { .cli = cli, .file = file,
			      .nodes = AQ_STRV_INIT(NODES_MAX) };
	char path[PATH_MAX];
	struct aq_err err = { 0 };
	int rc = begin(&b, path, &err);

	if (!rc) {
		term_progress_begin(&b.progress);
		if (cli->has_json) {
			json_begin(&b.json, stdout);
			json_open(&b.json, "nodes", '[');
			b.has_begun = true;
		}
		rc = run(&b, &err);
	}
	if (b.has_begun) { /* whatever came of it */
		json_close(&b.json, ']');
		json_end(&b.json);
	}
	aq_strv_free(&b.nodes);
	if (rc)
		return cli_fail(&err);
	return b.has_failed ? CLI_SYSTEM : b.has_refused ? CLI_INPUT : CLI_OK;
}
