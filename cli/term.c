/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text.h"

#define QUIET_MS 1000     /* what takes less shows nothing */
#define BAR_COLUMNS 20
#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN 20
#define LINE_MAX_BYTES 4096 /* a builder's lines have 512 at most */

bool term_is(FILE *out)
{
	const char *term = getenv("TERM");

	return isatty(fileno(out)) && term && *term &&
	       strcmp(term, "dumb") != 0;
}

static bool has_colours(FILE *out)
{
	const char *no = getenv("NO_COLOR");

	return term_is(out) && !(no && *no);
}

/* One character, or one byte that is none; returns its length. */
static size_t print_one(FILE *out, const char *at, const char *end)
{
	size_t len = aq_utf8_len(at, end);
	unsigned char c = (unsigned char)*at;

	if (len && (c == '\n' || !aq_text_is_control(at, len))) {
		fwrite(at, 1, len, out);
		return len;
	}
	if (c == '\t')
		fputc(' ', out);
	else
		fprintf(out, "\\x%02x", c);
	return 1;
}

void term_print(FILE *out, const char *text)
{
	const char *end = text + strlen(text);

	while (text < end)
		text += print_one(out, text, end);
}

void term_print_in(FILE *out, enum term_colour colour, const char *text)
{
	static const char *const codes[] = { "\033[1m", "\033[2m", "\033[31m",
					     "\033[33m" };

	if (!has_colours(out)) {
		term_print(out, text);
		return;
	}
	fputs(codes[colour], out);
	term_print(out, text);
	fputs("\033[0m", out);
}

/* -- progress -- */

void term_progress_begin(struct term_progress *p)
{
	*p = (struct term_progress){
		.is_moving = has_colours(stderr),
		.start_ms = aq_now_ms(),
		.line = AQ_STR_INIT(LINE_MAX_BYTES),
	};
}

static void wipe(struct term_progress *p)
{
	if (p->is_shown)
		fputs("\r\033[K", stderr);
	p->is_shown = false;
}

size_t term_columns(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)))
		return 0;
	if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || !size.ws_col)
		return COLUMNS_DEFAULT;
	return size.ws_col < COLUMNS_MIN ? COLUMNS_MIN : size.ws_col;
}

/* "[DONE/OF]": how much of the last line's is done. */
static bool take_done(struct term_progress *p, const char *text)
{
	unsigned int done, of;
	int end = 0;

	if (sscanf(text, "[%6u/%6u]%n", &done, &of, &end) < 2 || !end ||
	    text[end] || done > of)
		return false;
	p->done = done;
	p->of = of;
	return true;
}

static void end_line(struct term_progress *p)
{
	const char *text = aq_str_get(&p->line);

	if (take_done(p, text)) {
		/* a bar's, where there is one */
	} else if (p->line.len && p->is_moving) {
		snprintf(p->last, sizeof(p->last), "%s", text);
		p->of = 0;
	} else if (p->line.len) {
		fputs("aq: ", stderr);
		term_print(stderr, text);
		fputc('\n', stderr);
	}
	aq_str_free(&p->line);
	p->line = (struct aq_str)AQ_STR_INIT(LINE_MAX_BYTES);
}

void term_progress_add(struct term_progress *p, const char *mem, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (mem[i] == '\n')
			end_line(p);
		else if (mem[i])
			aq_str_add_char(&p->line, mem[i]);
	}
}

/* Returns how many columns it takes, of 'room'. */
static size_t print_bar(const struct term_progress *p, size_t room)
{
	unsigned int full;

	if (!p->of || room < 2 * BAR_COLUMNS)
		return 0;
	full = p->done * BAR_COLUMNS / p->of;
	fputc('[', stderr);
	for (unsigned int i = 0; i < BAR_COLUMNS; i++)
		fputc(i < full ? '#' : '-', stderr);
	fputs("] ", stderr);
	return BAR_COLUMNS + 3;
}

void term_progress_tick(struct term_progress *p)
{
	int64_t ms = aq_now_ms() - p->start_ms;
	const char *text = p->last, *end = text + strlen(text);
	size_t room = term_columns(stderr);
	char head[40];

	if (!p->is_moving || ms < QUIET_MS)
		return;
	wipe(p);
	room -= 1 + (size_t)snprintf(head, sizeof(head), "%c %3lld s  ",
				 "|/-\\"[p->frame++ % 4],
				 (long long)(ms / 1000));
	fputs(head, stderr);
	room -= print_bar(p, room);
	/* what is not ASCII takes at most four columns, as \xNN */
	while (text < end && room >= 4) {
		room -= *text & 0x80 ? 4 : 1;
		text += print_one(stderr, text, end);
	}
	p->is_shown = true;
	fflush(stderr);
}

void term_progress_end(struct term_progress *p)
{
	wipe(p);
	end_line(p);
	aq_str_free(&p->line);
}
