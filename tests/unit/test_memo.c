/* SPDX-License-Identifier: Apache-2.0 */
/* What was answered before: as long as nothing has changed, and never else. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/answer_fill.h"
#include "common/job.h"
#include "common/clock.h"
#include "common/hit.h"
#include "common/host.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/lookup.h"
#include "common/memo.h"
#include "common/key.h"
#include "common/private.h"
#include "tests/unit/cachedir.h"

/* A cache with one environment, whose request is plain. */
struct node {
	struct aq_conf *conf;
	struct aq_store *store;
	struct aq_request *req;
	struct sample *sample;
	struct aq_answer *answer;
};

static const char canonical[] = "aq-request 1\nchannel conda-forge\n"
				"conda demo ==1\n";

static void commit(struct node *n, uint32_t generation)
{
	const struct aq_domain domain = { .kind = AQ_SHARED };
	cleanup_free char *context = NULL;
	char key[AQ_SHA256_HEX_SIZE], prefix[512];
	struct aq_err err = { 0 };

	n->sample = sample(generation, generation);
	assert_int_equal(aq_layout_prepare(n->conf, &err), 0);
	snprintf(prefix, sizeof(prefix), "%s/envs/%s", n->conf->cache_dir,
		 n->sample->env.name);
	assert_int_equal(mkdir(prefix, 0755), 0);
	assert_int_equal(aq_key_context(n->conf, &domain, NULL, &context, &err), 0);
	assert_int_equal(aq_key(n->req, context, key, &err), 0);
	n->sample->tie = (struct aq_binding){
		.key = key, .digest = n->req->digest, .context = context,
		.canonical = n->req->canonical,
	};
	if (aq_store_commit(n->store, &n->sample->env, &n->sample->tie, &err) != 0 ||
	    aq_store_make_plain(n->store, key, &err) != 0)
		fail_msg("%s", err.text);
}

static void begin(struct node *n, void **state)
{
	struct aq_err err = { 0 };

	*n = (struct node){ .conf = *state };
	n->conf->channels = calloc(16, sizeof(*n->conf->channels));
	n->conf->channels[0] = (struct aq_channel){
		strdup("conda-forge"), strdup("https://mirror.example/conda-forge")
	};
	n->conf->n_channels = 1;
	n->answer = calloc(1, sizeof(*n->answer));
	assert_non_null(n->answer);
	if (aq_store_open(n->conf, AQ_STORE_WRITE, &n->store, &err) != 0 ||
	    aq_request_parse(canonical, strlen(canonical), n->conf, &n->req,
			     &err) != 0)
		fail_msg("%s", err.text);
	commit(n, 1);
}

static void end(struct node *n)
{
	free(n->conf->channels[0].name);
	free(n->conf->channels[0].url);
	free(n->conf->channels);
	n->conf->channels = NULL;
	n->conf->n_channels = 0;
	aq_request_free(n->req);
	aq_store_close(n->store);
	sample_free(n->sample);
	free(n->answer);
}

static int look_up(struct node *n)
{
	bool is_plain = false;

	return aq_look_up(n->conf, n->req, n->answer, &is_plain, NULL);
}

static void keep(struct node *n)
{
	struct aq_memo_state state;

	aq_memo_look(n->conf, &state);
	assert_true(state.is_known);
	assert_int_equal(look_up(n), 0);
	aq_memo_keep(n->conf, &state, n->req, n->answer);
}

/* A class, and what is found is what was kept. */
static int recall(struct node *n)
{
	char digest[AQ_LEASE_DIGEST_SIZE];
	struct aq_answer *a = calloc(1, sizeof(*a));
	int rc = aq_memo_read(n->conf, canonical, strlen(canonical), a, digest,
			      NULL);

	if (!rc) {
		assert_string_equal(digest, n->req->digest);
		assert_memory_equal(a, n->answer, sizeof(*a));
	} else {
		assert_int_equal(a->done, 0);
	}
	free(a);
	return rc;
}

/* The only one. */
static char *path_of_memo(const struct node *n)
{
	cleanup_free char *hits = path_below(n->conf->run_dir, "hits");

	for (unsigned int i = 0; i < 512; i++) {
		char name[8], *path;

		snprintf(name, sizeof(name), "%03x", i);
		path = path_below(hits, name);
		if (access(path, F_OK) == 0)
			return path;
		free(path);
	}
	fail_msg("there is none");
	return NULL;
}

static void what_is_kept_is_found(void **state)
{
	char digest[AQ_LEASE_DIGEST_SIZE];
	struct node n;

	begin(&n, state);
	assert_int_equal(recall(&n), AQ_MISS);
	keep(&n);
	assert_int_equal(recall(&n), 0);
	assert_int_equal(recall(&n), 0);
	/* another request, whichever place it has */
	assert_int_equal(aq_memo_read(n.conf, canonical, strlen(canonical) - 1,
				      n.answer, digest, NULL), AQ_MISS);
	end(&n);
}

static void another_commit_makes_it_unknown(void **state)
{
	struct aq_memo_state before;
	struct node n;

	begin(&n, state);
	keep(&n);
	assert_int_equal(recall(&n), 0);
	assert_int_equal(aq_store_used(n.store, n.sample->env.name, 1, NULL), 0);
	assert_int_equal(recall(&n), AQ_MISS);
	keep(&n);
	assert_int_equal(recall(&n), 0);
	/* and what was found before one is not kept behind it */
	aq_memo_look(n.conf, &before);
	assert_int_equal(look_up(&n), 0);
	assert_int_equal(aq_store_remove(n.store, n.sample->env.name, NULL), 0);
	aq_memo_keep(n.conf, &before, n.req, n.answer);
	assert_int_equal(recall(&n), AQ_MISS);
	end(&n);
}

static void another_configuration_makes_it_unknown(void **state)
{
	struct node n;

	begin(&n, state);
	keep(&n);
	n.conf->stamp++;
	assert_int_equal(recall(&n), AQ_MISS);
	n.conf->stamp--;
	assert_int_equal(recall(&n), 0);
	end(&n);
}

/* A driver came or left. */
static void another_node_makes_it_unknown(void **state)
{
	struct aq_memo_state before;
	struct node n;

	begin(&n, state);
	aq_memo_look(n.conf, &before);
	assert_int_equal(before.host, aq_host_stamp(AQ_HOST_DRIVER));
	assert_int_equal(look_up(&n), 0);
	before.host++;
	aq_memo_keep(n.conf, &before, n.req, n.answer);
	assert_int_equal(recall(&n), AQ_MISS);
	before.host--;
	aq_memo_keep(n.conf, &before, n.req, n.answer);
	assert_int_equal(recall(&n), 0);
	end(&n);
}

static void another_database_makes_it_unknown(void **state)
{
	cleanup_str struct aq_str bytes = AQ_STR_INIT(1024 * 1024);
	cleanup_free char *db = NULL;
	struct node n;

	begin(&n, state);
	db = path_below(n.conf->cache_dir, "cache.db");
	keep(&n);
	/* the same bytes in another file */
	assert_int_equal(aq_read_file(AT_FDCWD, db, &bytes, NULL), 0);
	assert_int_equal(unlink(db), 0);
	scribble(db, 0, bytes.s, bytes.len);
	assert_int_equal(recall(&n), AQ_MISS);
	assert_int_equal(unlink(db), 0);
	assert_int_equal(recall(&n), AQ_MISS);
	end(&n);
}

/* Removed by hand, while its row is there. */
static void what_is_gone_is_unknown(void **state)
{
	struct node n;

	begin(&n, state);
	keep(&n);
	assert_int_equal(rmdir(n.answer->prefix), 0);
	assert_int_equal(recall(&n), AQ_MISS);
	assert_int_equal(look_up(&n), AQ_MISS);
	assert_int_equal(mkdir(n.answer->prefix, 0755), 0);
	assert_int_equal(look_up(&n), 0);
	assert_int_equal(recall(&n), 0);
	end(&n);
}

/* Any byte, and any length: it is what was kept, or none. */
static void damage_makes_it_unknown(void **state)
{
	cleanup_free char *path = NULL;
	struct stat st;
	struct node n;
	char byte;
	FILE *f;

	begin(&n, state);
	keep(&n);
	path = path_of_memo(&n);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	for (off_t at = 0; at < (off_t)(100 + strlen(canonical)); at++) {
		f = fopen(path, "r+e");
		assert_non_null(f);
		assert_int_equal(fseek(f, at, SEEK_SET), 0);
		assert_int_equal(fread(&byte, 1, 1, f), 1);
		byte = (char)(byte ^ 0x55);
		fclose(f);
		scribble(path, at, &byte, 1);
		(void)!aq_memo_read(n.conf, canonical, strlen(canonical),
				    n.answer, (char[AQ_LEASE_DIGEST_SIZE]){ 0 },
				    NULL);
		byte = (char)(byte ^ 0x55);
		scribble(path, at, &byte, 1);
	}
	for (off_t size = st.st_size - 1; size > 0; size -= 7) {
		assert_int_equal(truncate(path, size), 0);
		assert_int_equal(recall(&n), AQ_MISS);
	}
	end(&n);
}

/* The stage's short way: the lease says what is used, and the job's mark counts it. */
static void a_hit_holds_and_counts(void **state)
{
	struct aq_tally tally = { 0 };
	cleanup_strv struct aq_strv uses = AQ_STRV_INIT(8);
	cleanup_free char *conf_path = NULL;
	struct node n;
	struct aq_refs *refs = NULL;
	struct aq_stage stage = { .node = "n1", .step = { 7, 63, UINT32_MAX },
				  .canonical = canonical,
				  .canonical_len = strlen(canonical) };
	char text[8192];
	uint64_t held = 0;

	begin(&n, state);
	snprintf(text, sizeof(text), "cache_dir = %s\nrun_dir = %s\n"
		 "channels = conda-forge=https://mirror.example/conda-forge\n",
		 n.conf->cache_dir, n.conf->run_dir);
	conf_path = path_below(n.conf->cache_dir, "aq.conf");
	scribble(conf_path, 0, text, strlen(text));
	stage.conf_path = conf_path;
	stage.since_us = aq_now_us();
	stage.answer = n.answer;
	assert_int_equal(aq_hit(&stage, NULL), AQ_MISS);
	assert_true(stage.ret_lease_fd >= 0);
	close(stage.ret_lease_fd);
	n.conf->stamp = aq_hash(text, strlen(text));
	keep(&n);
	memset(n.answer, 0, sizeof(*n.answer));
	assert_int_equal(aq_hit(&stage, NULL), 0);
	assert_true(aq_answer_is_sound(n.answer));
	assert_int_equal(aq_refs_open(n.conf, &refs, NULL), 0);
	assert_int_equal(aq_refs_count(refs, n.req->digest, &held, NULL), 0);
	assert_int_equal(held, 1);
	assert_int_equal(aq_job_uses(n.conf, 7, &uses, &tally, NULL), 0);
	assert_int_equal(uses.n, 1);
	assert_string_equal(uses.v[0], n.sample->env.name);
	assert_int_equal(tally.n[AQ_TALLY_STAGES], 1);
	assert_in_range(tally.n[AQ_TALLY_STAGE_US], 1,
			(uint64_t)(aq_now_us() - stage.since_us));
	close(stage.ret_lease_fd);
	/* what has to be noted, or resolved afresh, is looked up */
	stage.is_refresh = true;
	assert_int_equal(aq_hit(&stage, NULL), AQ_MISS);
	close(stage.ret_lease_fd);
	stage.is_refresh = false;
	assert_true(aq_copy_text(stage.workflow.name,
				 sizeof(stage.workflow.name), "w"));
	assert_int_equal(aq_hit(&stage, NULL), AQ_MISS);
	close(stage.ret_lease_fd);
	aq_refs_close(refs);
	end(&n);
}

static void what_was_found_private_is_so_for_its_user(void **state)
{
	static const uid_t uid = 4321;
	struct node n;
	struct aq_conf own;
	struct aq_request another;
	char run_dir[512], hits[600];

	begin(&n, state);
	n.conf->policy[AQ_INPUT_SCRIPT] = AQ_POLICY_PRIVATE;
	own = *n.conf;
	aq_private_run_dir(n.conf, uid, run_dir, sizeof(run_dir));
	own.run_dir = run_dir;
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical)));
	aq_memo_keep_private(&own, n.req); /* there is no such directory */
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical)));
	snprintf(hits, sizeof(hits), "%s/private", n.conf->run_dir);
	assert_int_equal(mkdir(hits, 0700), 0);
	assert_int_equal(mkdir(run_dir, 0700), 0);
	snprintf(hits, sizeof(hits), "%s/hits", run_dir);
	assert_int_equal(mkdir(hits, 0700), 0);
	aq_memo_keep_private(&own, n.req);
	assert_true(aq_memo_is_private(n.conf, uid, canonical,
				       strlen(canonical)));
	/* nobody else's, nor root's, nor what others ask, nor where policy moved on */
	assert_false(aq_memo_is_private(n.conf, uid + 1, canonical,
					strlen(canonical)));
	assert_false(aq_memo_is_private(n.conf, 0, canonical,
					strlen(canonical)));
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical) - 1));
	n.conf->policy[AQ_INPUT_SCRIPT] = AQ_POLICY_REFUSE;
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical)));
	n.conf->policy[AQ_INPUT_SCRIPT] = AQ_POLICY_PRIVATE;
	/* two requests may share a place: the bytes decide */
	another = *n.req;
	for (unsigned int i = 0; i < 100; i++) {
		char text[64];

		snprintf(text, sizeof(text), "aq-request 1\nconda x%u\n", i);
		another.canonical = text;
		another.canonical_len = strlen(text);
		aq_memo_keep_private(&own, &another);
		assert_true(aq_memo_is_private(n.conf, uid, text, strlen(text)));
	}
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical)));
	end(&n);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_kept_is_found),
		TEST(another_commit_makes_it_unknown),
		TEST(another_configuration_makes_it_unknown),
		TEST(another_node_makes_it_unknown),
		TEST(another_database_makes_it_unknown),
		TEST(what_is_gone_is_unknown),
		TEST(damage_makes_it_unknown),
		TEST(a_hit_holds_and_counts),
		TEST(what_was_found_private_is_so_for_its_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
