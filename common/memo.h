/* SPDX-License-Identifier: Apache-2.0 */
/* What was answered before, for as long as cache.db is as it was then: a hit needs
 * no SQLite and no library.  In run_dir/hits, root's and gone with the boot; one
 * that is damaged, or not there, is none.
 */
#ifndef AQ_MEMO_H
#define AQ_MEMO_H

#include <sys/types.h>

#include "common/answer.h"
#include "common/at_hand.h"
#include "common/conf.h"
#include "common/lease.h"
#include "common/request.h"

/* What cache.db is, and what this node is (common/host.h), since an environment that
 * fitted may fit no more.
 */
struct aq_memo_state {
	struct aq_seen db;
	uint64_t host;
	bool is_known;
};
/* Whether a file that changed then would have another time if it did so 'now', by the clock
 * of files (CLOCK_REALTIME_COARSE).  Pure.
 */
bool aq_memo_is_settled(struct timespec changed, struct timespec now);
/* Known is what will not be so again once somebody wrote: cache.db is of a local file
 * system, and its last commit some ticks ago.  May wait.
 */
void aq_memo_look(const struct aq_conf *conf, struct aq_memo_state *ret);

/* The answer to the request with these canonical bytes, with its digest; AQ_MISS:
 * there is none, or it may be another by now.  'is_at_hand': nothing but run_dir is
 * waited for (common/at_hand.h), and what would have to be is a miss.
 */
AQ_CHECK int aq_memo_read(const struct aq_conf *conf, const char *canonical,
			  size_t len, bool is_at_hand, struct aq_answer *ret,
			  char ret_digest[AQ_LEASE_DIGEST_SIZE],
			  struct aq_err *err);
/* A request of a private domain that its bytes do not tell (a package of it has a link
 * script) was found to be one: 'conf' is that domain.  Where this cannot be kept it is
 * found out again.
 */
void aq_memo_keep_private(const struct aq_conf *conf,
			  const struct aq_request *req);
/* Whether it was, of 'uid', since the boot, and aq.conf's policy still lets it be. */
bool aq_memo_is_private(const struct aq_conf *site, uid_t uid,
			const char *canonical, size_t len);

/* Keep a sound answer that was found after cache.db was looked at: 'state'.  If it
 * has changed since, it will not be so again, and this is never read.
 */
void aq_memo_keep(const struct aq_conf *conf, const struct aq_memo_state *state,
		  const struct aq_request *req, const struct aq_answer *answer);

#endif
