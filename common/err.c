/* SPDX-License-Identifier: Apache-2.0 */
#include "common/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void set_text(struct aq_err *err, const char *fmt, va_list ap)
{
	if (vsnprintf(err->text, sizeof(err->text), fmt, ap) < 0)
		err->text[0] = '\0';
}

int aq_fail(struct aq_err *err, enum aq_class class, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return class;
	err->class = class;
	err->errnum = 0;
	va_start(ap, fmt);
	set_text(err, fmt, ap);
	va_end(ap);
	return class;
}

int aq_fail_errno(struct aq_err *err, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	size_t len;
	char why[128];

	if (!err)
		return AQ_SYS;
	err->class = AQ_SYS;
	err->errnum = saved;
	va_start(ap, fmt);
	set_text(err, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	/* the GNU strerror_r: returns the text, which may be in 'why' */
	snprintf(err->text + len, sizeof(err->text) - len, ": %s",
		 strerror_r(saved, why, sizeof(why)));
	errno = saved;
	return AQ_SYS;
}

int aq_fail_prefix(struct aq_err *err, const char *fmt, ...)
{
	char old[AQ_ERR_TEXT_MAX];
	va_list ap;
	size_t len;

	if (!err)
		return AQ_SYS;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	set_text(err, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", old);
	return err->class;
}

void aq_err_clear(struct aq_err *err)
{
	if (!err)
		return;
	err->class = AQ_OK;
	err->errnum = 0;
	err->text[0] = '\0';
}

const char *aq_class_name(enum aq_class class)
{
	switch (class) {
	case AQ_OK:
		return "ok";
	case AQ_MISS:
		return "miss";
	case AQ_BUSY:
		return "busy";
	case AQ_USER:
		return "user";
	case AQ_SYS:
		return "system";
	case AQ_CORRUPT:
		return "corrupt";
	}
	return "unknown";
}
