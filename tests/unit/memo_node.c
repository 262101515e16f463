/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/key.h"
#include "common/layout.h"
#include "common/lookup.h"
#include "tests/unit/memo_node.h"

#define SETTLED_MS 10000 /* on a loaded machine */

static void commit(struct memo_node *n, uint32_t generation)
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

void memo_node_begin(struct memo_node *n, void **state)
{
	struct aq_err err = { 0 };

	*n = (struct memo_node){ .conf = *state };
	n->conf->channels = calloc(16, sizeof(*n->conf->channels));
	n->conf->channels[0] = (struct aq_channel){
		strdup("conda-forge"), strdup("https://mirror.example/conda-forge")
	};
	n->conf->n_channels = 1;
	n->answer = calloc(1, sizeof(*n->answer));
	assert_non_null(n->answer);
	if (aq_store_open(n->conf, AQ_STORE_WRITE, &n->store, &err) != 0 ||
	    aq_request_parse(MEMO_CANONICAL, strlen(MEMO_CANONICAL), n->conf, &n->req,
			     &err) != 0)
		fail_msg("%s", err.text);
	commit(n, 1);
}

void memo_node_end(struct memo_node *n)
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

int memo_node_look_up(struct memo_node *n)
{
	bool is_plain = false;

	return aq_look_up(n->conf, n->req, n->answer, &is_plain, NULL);
}

void memo_node_look(struct memo_node *n, struct aq_memo_state *ret)
{
	int64_t until = aq_now_ms() + SETTLED_MS;

	do
		aq_memo_look(n->conf, ret);
	while (!ret->is_known && aq_now_ms() < until);
	assert_true(ret->is_known);
}

void memo_node_keep(struct memo_node *n)
{
	struct aq_memo_state state;

	memo_node_look(n, &state);
	assert_int_equal(memo_node_look_up(n), 0);
	aq_memo_keep(n->conf, &state, n->req, n->answer);
}
