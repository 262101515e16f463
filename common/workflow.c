/* SPDX-License-Identifier: Apache-2.0 */
#include "common/workflow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/str.h"

#define NAME_CHARACTERS                                                        \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define REMOVED " removed"

bool aq_workflow_is_name(const char *text)
{
	size_t len = strlen(text);

	return len && len <= AQ_WORKFLOW_NAME_MAX &&
	       strspn(text, NAME_CHARACTERS) == len;
}

uint64_t aq_workflow_now(void)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void aq_workflow_print(const struct aq_workflow *w,
		       char ret[AQ_WORKFLOW_TEXT_SIZE])
{
	snprintf(ret, AQ_WORKFLOW_TEXT_SIZE, "%s %" PRIu64 "%s", w->name,
		 w->submitted, w->is_removed ? REMOVED : "");
}

bool aq_workflow_parse(const char *text, uint64_t now, struct aq_workflow *ret)
{
	char copy[AQ_WORKFLOW_TEXT_SIZE], *number;
	struct aq_workflow w = { 0 };

	if (!aq_copy_text(copy, sizeof(copy), text))
		return false;
	w.is_removed = aq_ends_with(copy, REMOVED);
	if (w.is_removed)
		copy[strlen(copy) - strlen(REMOVED)] = '\0';
	number = strchr(copy, ' ');
	if (!number)
		return false;
	*number++ = '\0';
	/* SQL's numbers are signed */
	if (!aq_workflow_is_name(copy) ||
	    !aq_parse_u64(number, INT64_MAX, &w.submitted) ||
	    !aq_copy_text(w.name, sizeof(w.name), copy))
		return false;
	aq_workflow_print(&w, copy);
	if (strcmp(copy, text) != 0)
		return false;
	if (w.submitted > now)
		w.submitted = now;
	*ret = w;
	return true;
}
