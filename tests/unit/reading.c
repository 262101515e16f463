/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/example_conf.h"
#include "tests/unit/reading.h"

struct aq_conf *const reading_conf = &example_conf;
char reading_dir[] = "/tmp/test-request-XXXXXX";

void write_file(const char *name, const char *text, size_t len)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", reading_dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

struct aq_request *read_text(const char *text, struct aq_strv *warnings,
			     struct aq_err *err)
{
	struct aq_request *req = NULL;
	char path[256];

	write_file("req.yaml", text, strlen(text));
	snprintf(path, sizeof(path), "%s/req.yaml", reading_dir);
	return aq_request_read(path, &example_conf, &req, warnings, err) ? NULL
									 : req;
}

void expect(const char *text, const char *canonical)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	cleanup_request struct aq_request *req = NULL, *again = NULL;
	struct aq_err err;

	req = read_text(text, &warnings, &err);
	if (!req)
		fail_msg("%s", err.text);
	assert_string_equal(req->canonical, canonical);
	if (aq_request_parse(req->canonical, req->canonical_len, &example_conf,
			     &again, &err))
		fail_msg("parse: %s", err.text);
	assert_string_equal(again->digest, req->digest);
	assert_string_equal(again->canonical, req->canonical);
	aq_strv_free(&warnings);
}

void expect_refused(const char *text, const char *message)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	cleanup_str struct aq_str want = AQ_STR_INIT(8192);
	cleanup_request struct aq_request *req = NULL;
	struct aq_err err;

	req = read_text(text, &warnings, &err);
	aq_strv_free(&warnings);
	if (req)
		fail_msg("accepted as %s", req->canonical);
	for (; *message; message++)
		if (aq_starts_with(message, "%/"))
			aq_str_add(&want, reading_dir);
		else if (aq_starts_with(message, "%:"))
			aq_str_add_fmt(&want, "%s/req.yaml", reading_dir);
		else
			aq_str_add_char(&want, *message);
	assert_string_equal(err.text, aq_str_get(&want));
	assert_int_equal(err.class, AQ_USER);
}

int reading_setup(void **state)
{
	(void)state;
	return mkdtemp(reading_dir) ? 0 : -1;
}

int reading_teardown(void **state)
{
	cleanup_closedir DIR *d = opendir(reading_dir);

	(void)state;
	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	return rmdir(reading_dir);
}
