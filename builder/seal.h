/* SPDX-License-Identifier: Apache-2.0 */
/* Root's walk over what was built, before anybody uses it. */
#ifndef AQ_BUILDER_SEAL_H
#define AQ_BUILDER_SEAL_H

#include "builder/builder.h"

struct sizes {
	/* bytes on disk; what hard links or reflinks elsewhere hold is shared */
	uint64_t own, shared;
};
/* Judge the prefix, and close it to everybody: AQ_USER, and b->verdict, if it has
 * what no environment may have.  b->sealed is the directory that was judged.
 */
AQ_CHECK int seal(struct build *b, struct sizes *ret, struct aq_err *err);
/* Whether b->name in the directory 'envs' is what was judged: whoever survived in
 * work/envs could have put another there.  AQ_SYS: it is not.
 */
AQ_CHECK int seal_is_of(const struct build *b, int envs, struct aq_err *err);
/* Once conda's packages are linked, before wheels are installed. */
AQ_CHECK int seal_note_metadata(struct build *b, struct aq_err *err);
/* Once they are, before anything of them runs: what was noted is still so, and
 * nothing says more than the lock.  seal() looks once more.
 */
AQ_CHECK int seal_check_metadata(struct build *b, struct aq_err *err);
/* Note what the committed environment 'm', at b->prefix, which is held, has by now,
 * byte-code too: its sizes, and what no package's record speaks for (common/sums.h).
 * Reading all that takes longer than a layer's build: for when nobody waits.
 */
AQ_CHECK int seal_note(const struct build *b, struct aq_manifest *m,
		       struct aq_err *err);

#endif
