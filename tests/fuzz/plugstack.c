/* SPDX-License-Identifier: Apache-2.0 */
/* What Slurm hands to the plugin as text: plugstack.conf's arguments, a line
 * each, behind byte 0xff the values of an option in the order of its callbacks,
 * and behind the next one what an outer job hands down.
 */
#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/rim.h"

const char fuzz_name[] = "plugstack";

#define MARK ((char)0xff)
#define ARGS_MAX 64

static size_t n_errors;

void slurm_error(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	fuzz_check(vsnprintf(text, sizeof(text), fmt, ap) >= 0);
	va_end(ap);
	n_errors++;
}

/* The last path counts; each of the others is said. */
static void check_args(const struct aq_strv *av)
{
	struct rim_args args = { 0 };
	const char *last = NULL;
	size_t n = 0;

	n_errors = 0;
	rim_args_read((int)av->n, av->v, &args);
	for (size_t i = 0; i < av->n; i++) {
		if (aq_starts_with(av->v[i], "config=/"))
			last = strchr(av->v[i], '=') + 1;
		else
			n++;
	}
	fuzz_check(args.conf_path == last && n_errors == n);
}

static size_t count_others(const struct aq_strv *values, const char *value)
{
	size_t n = 0;

	for (size_t i = 0; i < values->n; i++)
		n += strcmp(values->v[i], value) != 0;
	return n;
}

static void check_choice(const struct aq_strv *values, const char *carrier,
			 size_t n_components)
{
	struct rim_choice c = rim_choose(values, carrier, n_components);

	fuzz_check((c.value != NULL) == (values->n != 0));
	if (!values->n)
		return;
	fuzz_check(aq_strv_has(values, c.value));
	if (c.is_inherited)
		fuzz_check(carrier && strcmp(c.value, carrier) == 0 &&
			   !count_others(values, carrier));
	if (c.differs)
		fuzz_check(n_components > 1 && aq_strv_has(values, c.other));
	/* one that is not handed down counts, and the last of these */
	if (!carrier)
		fuzz_check(c.value == values->v[values->n - 1]);
	if (!c.differs && n_components > 1 && !c.is_inherited && !carrier)
		fuzz_check(!count_others(values, c.value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);
	cleanup_strv struct aq_strv av = AQ_STRV_INIT(ARGS_MAX);
	cleanup_strv struct aq_strv values = AQ_STRV_INIT(RIM_VALUES_MAX);
	cleanup_free char *carrier = NULL;
	size_t n_components;

	fuzz_lines(&in, MARK, &av);
	fuzz_lines(&in, MARK, &values);
	carrier = fuzz_piece(&in, MARK, NULL);
	n_components = fuzz_byte(&in);
	check_args(&av);
	check_choice(&values, NULL, n_components);
	check_choice(&values, carrier, n_components);
	return 0;
}
