/* SPDX-License-Identifier: Apache-2.0 */
/* Where the seal refuses: by itself, so that a builder of tests can let through
 * what it judges (tests/it/unsealed.c).
 */
#include "builder/seal_inside.h"
#include "common/text.h"

int seal_refuse(struct build *b, const char *name, const char *what,
		struct aq_err *err)
{
	char shown[AQ_SHOW_PATH_SIZE];

	b->verdict = BUILD_REFUSED;
	return aq_fail(err, AQ_USER, "a package brought '%.200s', %s: refused",
		       aq_show_path(name, shown), what);
}
