/* SPDX-License-Identifier: Apache-2.0 */
/* builder/shared_archives_serve.c, shared_talk.c. */
#include "tests/unit/archives.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "builder/builder.h"
#include "builder/run_inside.h"
#include "builder/shared_talk.h"

#define KEY "ab34567890123456789012345678901234567890123456789012345678901234"

/* The group of a 2 */
#define OF_ARCHIVE " 4\n"
#define KIND_OF_ARCHIVE "claim2-"

/* -- who copies archives for a build -- */

#define WAIT_MS 20000 /* for what comes within seconds */

struct copier {
	pid_t pid;
	int to, from; /* its standard input and output */
	struct aq_str said;
};

static const struct shared_archives_job TAKES_ONE = { .takes_all = false };
static const struct shared_archives_job TAKES_ALL = { .takes_all = true };
static const struct shared_archives_job HAS_ALL = { .ours = SHARED_ALL_GROUPS };
static const struct shared_archives_job HAS_FAILED = { .has_failed = true };

/* It wants 'more' that nobody has, and the one; 'job' says how. */
static void start_copier(struct copier *c, const char *top, int more,
			 struct shared_archives_job job)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT((size_t)more + 1);
	char dir[256];
	int in[2], out[2];

	for (int i = 0; i < more; i++)
		aq_strv_add_fmt(&names, "%02x.conda", i);
	aq_strv_add(&names, ARCHIVE);
	snprintf(dir, sizeof(dir), "%s/here", top);
	job.path = top;
	job.node = "node-a";
	job.key = KEY;
	job.owner = geteuid();
	job.names = &names;
	job.dir = dir;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	c->pid = fork();
	if (c->pid == 0) {
		struct aq_err err = { 0 };

		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		close(out[0]);
		_exit(shared_archives_serve(&job, NULL, &err) != 0);
	}
	assert_true(c->pid > 0);
	close(in[0]);
	close(out[1]);
	c->to = in[1];
	c->from = out[0];
	c->said = (struct aq_str)AQ_STR_INIT(4096);
}

/* Until it has said that. */
static void hear(struct copier *c, const char *what)
{
	char buf[256];

	while (!strstr(aq_str_get(&c->said), what)) {
		struct pollfd p = { .fd = c->from, .events = POLLIN };
		ssize_t n = poll(&p, 1, WAIT_MS) > 0 ?
			read(c->from, buf, sizeof(buf)) : 0;

		if (n <= 0)
			fail_msg("no '%s' but: %s", what, aq_str_get(&c->said));
		aq_str_add_mem(&c->said, buf, (size_t)n);
	}
}

static void is_told(struct copier *c, const char *word)
{
	assert_int_equal(write(c->to, word, strlen(word)), strlen(word));
}

/* All that can be had is fetched. */
static void tell_copier(struct copier *c)
{
	int status;

	is_told(c, SHARED_TELL_LOCK);
	close(c->to);
	hear(c, SHARED_SAYS_DONE "\n");
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_int_equal(status, 0);
	close(c->from);
	aq_str_free(&c->said);
}

/* The supervisor may begin to listen while much is copied. */
static void who_copies_says_so_before_it_is_told(void **state)
{
	cleanup_close int here = make_here(*state, "here", NULL);
	struct copier c;

	start_copier(&c, *state, 0, TAKES_ALL);
	hear(&c, SHARED_SAYS_CLAIMED OF_ARCHIVE);
	assert_null(strstr(aq_str_get(&c.said), SHARED_SAYS_GOT));
	aq_str_truncate(&c.said, 0);
	assert_int_equal(aq_write_file(here, "part", "x", 1, NULL), 0);
	assert_int_equal(renameat(here, "part", here, ARCHIVE), 0);
	hear(&c, SHARED_SAYS_ALIVE "\n");
	tell_copier(&c);
	assert_true(is_there(*state, ARCHIVE));
}

/* Whether a process has the claim; 'c' is who asks. */
static bool has_claim(const struct shared_dir *d, struct shared_claim *c,
		      pid_t pid)
{
	char who[64];

	snprintf(who, sizeof(who), "node-a %d ", pid);
	assert_int_equal(shared_claim_take(d, c, NULL), AQ_BUSY);
	return aq_starts_with(c->seen, who);
}

/* The one before it was killed when the client ended. */
static void who_publishes_the_rest_has_the_claim(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_close int here = make_here(*state, "here", "x");
	struct shared_claim dead, waits;
	struct copier c;
	struct stat st;

	assert_int_equal(shared_dir_open(*state, geteuid(), KEY, &d, NULL), 0);
	shared_claim_init(&dead, KIND_OF_ARCHIVE, "node-a");
	shared_claim_init(&waits, KIND_OF_ARCHIVE, "node-b");
	assert_int_equal(shared_claim_take(&d, &dead, NULL), 0);
	start_copier(&c, *state, 0, HAS_ALL);
	while (!has_claim(&d, &waits, c.pid))
		assert_int_equal(kill(c.pid, 0), 0);
	/* the same one: at no time it was nobody's */
	assert_int_equal(fstat(dead.fd, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	tell_copier(&c);
	assert_int_equal(shared_claim_take(&d, &waits, NULL), 0);
	shared_claim_drop(&d, &waits, false);
	aq_close_fd(&dead.fd);
}

/* Another node has the claim of each group in 'groups'. */
static void claim_groups(const struct shared_dir *d, unsigned groups,
			 struct shared_claim claims[SHARED_GROUPS])
{
	static char kinds[SHARED_GROUPS][16];

	for (int g = 0; g < SHARED_GROUPS; g++) {
		snprintf(kinds[g], sizeof(kinds[g]), "claim%d-", g);
		shared_claim_init(&claims[g], kinds[g], "node-b");
		if (groups & 1u << g)
			assert_int_equal(shared_claim_take(d, &claims[g], NULL), 0);
	}
}

static void drop_groups(const struct shared_dir *d,
			struct shared_claim claims[SHARED_GROUPS])
{
	for (int g = 0; g < SHARED_GROUPS; g++)
		shared_claim_drop(d, &claims[g], false);
}

static void end_copier(struct copier *c)
{
	close(c->to);
	close(c->from);
	assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
	aq_str_free(&c->said);
}

static void who_lacks_many_says_little(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_close int here = make_here(*state, "here", "x");
	struct shared_store at_here = { *state, geteuid(), here, NULL, NULL, NULL };
	struct shared_claim others[SHARED_GROUPS];
	struct copier c;

	assert_int_equal(shared_dir_open(*state, geteuid(), KEY, &d, NULL), 0);
	claim_groups(&d, SHARED_ALL_GROUPS, others);
	assert_int_equal(shared_store_put(&at_here, ARCHIVE, NULL), 0);
	assert_int_equal(unlinkat(here, ARCHIVE, 0), 0);
	start_copier(&c, *state, 100, TAKES_ALL);
	hear(&c, SHARED_SAYS_WAITS "node-b");
	/* what is there it has by then, as the last one of all */
	assert_non_null(strstr(aq_str_get(&c.said), SHARED_SAYS_GOT "\n"));
	assert_true(strcspn(aq_str_get(&c.said), "w") <
		    10 * strlen(SHARED_SAYS_ALIVE));
	end_copier(&c);
	drop_groups(&d, others);
}

/* A copier of 100 more, and another node with the claims of 'groups'. */
static void begin_beside(const char *top, unsigned groups,
			 struct shared_archives_job job, struct shared_dir *d,
			 struct shared_claim others[SHARED_GROUPS], struct copier *c)
{
	assert_int_equal(shared_dir_open(top, geteuid(), KEY, d, NULL), 0);
	claim_groups(d, groups, others);
	start_copier(c, top, 100, job);
}

/* What it has claimed of 100 that nobody has, in so many groups. */
static unsigned claimed_of(const char *top, unsigned others_have,
			   struct shared_archives_job job)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	struct shared_claim others[SHARED_GROUPS];
	struct copier c;
	unsigned groups = 0;

	begin_beside(top, others_have, job, &d, others, &c);
	hear(&c, SHARED_SAYS_CLAIMED " ");
	assert_int_equal(sscanf(strstr(aq_str_get(&c.said), SHARED_SAYS_CLAIMED),
				SHARED_SAYS_CLAIMED " %u", &groups), 1);
	end_copier(&c);
	drop_groups(&d, others);
	return groups;
}

static void nodes_of_a_step_share_groups(void **state)
{
	cleanup_close int here = make_here(*state, "here", NULL);
	unsigned one;

	assert_int_equal(claimed_of(*state, 0, TAKES_ALL), SHARED_ALL_GROUPS);
	assert_int_equal(claimed_of(*state, 5, TAKES_ALL), 10);
	one = claimed_of(*state, 0, TAKES_ONE);
	assert_true(one && !(one & (one - 1)));
	assert_int_equal(claimed_of(*state, 7, TAKES_ONE), 8);
}

/* The other node's. */
static void share_archive(const char *top)
{
	cleanup_close int there = make_here(top, "there", "x");
	struct shared_store at_there = { top, geteuid(), there, NULL, NULL, NULL };

	assert_int_equal(shared_store_put(&at_there, ARCHIVE, NULL), 0);
}

/* As others have it, once this node's client is at work: before, what it has claimed is to
 * be fetched soon.
 */
static void who_fetches_gets_what_others_have(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_close int here = make_here(*state, "here", NULL);
	struct shared_claim others[SHARED_GROUPS];
	struct copier c;

	begin_beside(*state, 4, TAKES_ALL, &d, others, &c);
	hear(&c, SHARED_SAYS_CLAIMED " 11\n");
	share_archive(*state);
	hear(&c, SHARED_SAYS_ALIVE "\n");
	aq_str_truncate(&c.said, 0);
	hear(&c, SHARED_SAYS_ALIVE "\n");
	assert_int_equal(faccessat(here, ARCHIVE, F_OK, 0), -1);
	is_told(&c, SHARED_TELL_WORK);
	hear(&c, SHARED_SAYS_GOT "\n");
	assert_int_equal(faccessat(here, ARCHIVE, F_OK, 0), 0);
	tell_copier(&c);
	drop_groups(&d, others);
}

/* It claims nothing more, and waits for who does. */
static void who_cannot_fetch_takes_what_others_have(void **state)
{
	cleanup_shared_dir struct shared_dir d = SHARED_DIR_INIT;
	cleanup_close int here = make_here(*state, "here", NULL);
	struct shared_claim others[SHARED_GROUPS];
	struct copier c;

	begin_beside(*state, 1, HAS_FAILED, &d, others, &c);
	hear(&c, SHARED_SAYS_WAITS "node-b");
	share_archive(*state);
	hear(&c, SHARED_SAYS_GOT "\n");
	/* one of another group, as long as it takes between two */
	shared_claim_drop(&d, &others[0], false);
	aq_str_truncate(&c.said, 0);
	hear(&c, SHARED_SAYS_ALIVE "\n");
	claim_groups(&d, 2, others);
	aq_str_truncate(&c.said, 0);
	hear(&c, SHARED_SAYS_ALIVE "\n");
	drop_groups(&d, others);
	hear(&c, SHARED_SAYS_ALONE "\n");
	assert_null(strstr(aq_str_get(&c.said), SHARED_SAYS_CLAIMED));
	end_copier(&c);
}

/* -- who hears it -- */

bool build_is_over(void *arg)
{
	(void)arg;
	return false;
}

void say(struct build *b, const char *fmt, ...)
{
	(void)b;
	print_message("said: %s\n", fmt);
}

void run_leave(struct build *b)
{
	(void)b;
}

bool run_make_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe(fds) < 0)
		return false;
	*ret_read = fds[0];
	*ret_write = fds[1];
	return true;
}

/* In no cage. */
pid_t run_start(const struct child *c)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	dup2(c->in, STDIN_FILENO);
	dup2(c->out, STDOUT_FILENO);
	_exit(c->fn(c->arg, c->fn_out, NULL) != 0);
}

/* For longer than there is room for. */
static int say_much(void *arg, struct aq_str *out, struct aq_err *err)
{
	const size_t n = 2 * AQ_LOCK_MAX / strlen(SHARED_SAYS_ALIVE);
	int rc = 0;

	(void)arg;
	(void)out;
	for (size_t i = 0; !rc && i < n; i++)
		rc = shared_say(SHARED_SAYS_ALIVE, "", err);
	return rc ? rc : shared_say(SHARED_SAYS_DONE, "", err);
}

static void who_waits_for_long_is_heard_to_the_end(void **state)
{
	const struct shared_program program = { PHASE_ARCHIVES, say_much, NULL };
	struct aq_conf conf = { .shared_dir = (char[]){ "/none" } };
	struct build *b = calloc(1, sizeof(*b));
	struct shared_process p = SHARED_PROCESS_INIT;
	enum shared_heard heard;

	(void)state;
	assert_non_null(b);
	b->conf = &conf;
	assert_true(shared_start(b, &p, &program));
	assert_int_equal(shared_hear(b, &p, &heard, NULL, NULL), 0);
	assert_int_equal(heard, SHARED_HEARD_DONE);
	shared_drop(&p);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(who_copies_says_so_before_it_is_told),
		IN_DIR(who_publishes_the_rest_has_the_claim),
		IN_DIR(who_lacks_many_says_little),
		IN_DIR(nodes_of_a_step_share_groups),
		IN_DIR(who_fetches_gets_what_others_have),
		IN_DIR(who_cannot_fetch_takes_what_others_have),
		cmocka_unit_test(who_waits_for_long_is_heard_to_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
