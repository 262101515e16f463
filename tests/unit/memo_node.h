/* SPDX-License-Identifier: Apache-2.0 */
/* A cache with one environment, whose request is plain, so that what it is answered
 * can be kept (common/memo.h).
 */
#ifndef AQ_MEMO_NODE_H
#define AQ_MEMO_NODE_H

#include "common/answer.h"
#include "common/memo.h"
#include "common/request.h"
#include "tests/unit/cachedir.h"

#define MEMO_CANONICAL "aq-request 1\nchannel conda-forge\nconda demo ==1\n"

struct memo_node {
	struct aq_conf *conf; /* cachedir_setup()'s */
	struct aq_store *store;
	struct aq_request *req;
	struct sample *sample;
	struct aq_answer *answer;
};

void memo_node_begin(struct memo_node *n, void **state);
void memo_node_end(struct memo_node *n);

/* As a step does: into n->answer. */
int memo_node_look_up(struct memo_node *n);
/* aq_memo_look() once what was written just now can be told from what is written next. */
void memo_node_look(struct memo_node *n, struct aq_memo_state *ret);
/* Look up and keep. */
void memo_node_keep(struct memo_node *n);

#endif
