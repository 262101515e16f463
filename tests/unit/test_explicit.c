/* SPDX-License-Identifier: Apache-2.0 */
/* Explicit lock files: what a lock prints, and what a request reads. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/explicit.h"
#include "common/request.h"
#include "common/sources.h"
#include "common/text.h"
#include "tests/unit/cachedir.h"
#include "tests/unit/example_conf.h"

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SUM2 "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MD5 "0123456789abcdef0123456789abcdef"
#define FORGE "https://mirror.example/conda-forge"
#define BIO "https://mirror.example/bioconda"
#define HASH "#sha256:" SUM
#define HEAD                                                                  \
	"# This file may be used to create an environment using:\n"           \
	"# $ conda create --name <env> --file <this file>\n"                  \
	"# platform: linux-64\n"                                              \
	"@EXPLICIT\n"

static int fd = -1;
static char path[64];

/* -- printing -- */

static void add(struct aq_lock *lock, const char *url, const char *sum,
		const char *name, const char *version, const char *build)
{
	assert_int_equal(aq_lock_add(lock,
				     build ? AQ_LOCK_CONDA : AQ_LOCK_WHEEL, url,
				     sum, name, version, build, NULL), 0);
}

static struct aq_lock *new_lock(void)
{
	struct aq_lock *lock = NULL;

	assert_int_equal(aq_lock_new("linux-64", &lock, NULL), 0);
	return lock;
}

/* A Python, its library, what needs it, and a wheel. */
static struct aq_lock *example_lock(void)
{
	struct aq_lock *lock = new_lock();

	add(lock, FORGE "/linux-64/_mutex-1%212-x.conda", SUM, "_mutex", "1!2",
	    "x");
	add(lock, FORGE "/linux-64/numpy-2.0.2-py39h1_0.tar.bz2", SUM, "numpy",
	    "2.0.2", "py39h1_0");
	add(lock, FORGE "/linux-64/pyfoo-1.0-hpy_0.conda", SUM, "pyfoo", "1.0",
	    "hpy_0");
	add(lock, FORGE "/linux-64/python-3.9.6-h1_0.conda", SUM2, "python",
	    "3.9.6", "h1_0");
	add(lock, BIO "/noarch/a-b_c-2024b-0.conda", SUM, "a-b_c", "2024b",
	    "0");
	add(lock, "https://pypi.example/PyYAML-6.0.20-cp39-cp39-linux.whl",
	    SUM2, "pyyaml", "6.0.20", NULL);
	assert_int_equal(aq_lock_finish(lock, NULL), 0);
	return lock;
}

static void libraries_then_python_then_the_others(void **state)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_LOCK_MAX);
	cleanup_lock struct aq_lock *lock = example_lock();

	(void)state;
	aq_explicit_print(lock, NULL, &out);
	assert_string_equal(aq_str_get(&out), HEAD
		FORGE "/linux-64/_mutex-1%212-x.conda#sha256:" SUM "\n"
		FORGE "/linux-64/pyfoo-1.0-hpy_0.conda#sha256:" SUM "\n"
		FORGE "/linux-64/python-3.9.6-h1_0.conda#sha256:" SUM2 "\n"
		BIO "/noarch/a-b_c-2024b-0.conda#sha256:" SUM "\n"
		FORGE "/linux-64/numpy-2.0.2-py39h1_0.tar.bz2#sha256:" SUM "\n"
		"# pip pyyaml @ https://pypi.example/"
		"PyYAML-6.0.20-cp39-cp39-linux.whl#sha256=" SUM2 "\n");
	assert_true(aq_explicit_is(aq_str_get(&out)));
}

static void a_base_comes_too_but_for_what_is_replaced(void **state)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_LOCK_MAX);
	cleanup_lock struct aq_lock *base = new_lock(), *lock = new_lock();

	(void)state;
	add(base, FORGE "/linux-64/python-3.9.6-h1_0.conda", SUM, "python",
	    "3.9.6", "h1_0");
	add(base, FORGE "/linux-64/a-1-0.conda", SUM, "a", "1", "0");
	add(base, "https://p.example/a-1-py3-none-any.whl", SUM, "a", "1",
	    NULL);
	add(base, "https://p.example/b-1-py3-none-any.whl", SUM, "b", "1",
	    NULL);
	assert_int_equal(aq_lock_finish(base, NULL), 0);
	memcpy(lock->base, base->digest, sizeof(lock->base));
	add(lock, FORGE "/linux-64/a-3-0.conda", SUM, "a", "3", "0");
	add(lock, "https://p.example/b-2-py3-none-any.whl", SUM, "b", "2",
	    NULL);
	assert_int_equal(aq_lock_finish(lock, NULL), 0);
	aq_explicit_print(lock, base, &out);
	assert_string_equal(aq_str_get(&out), HEAD
		FORGE "/linux-64/a-3-0.conda#sha256:" SUM "\n"
		FORGE "/linux-64/python-3.9.6-h1_0.conda#sha256:" SUM "\n"
		"# pip a @ https://p.example/a-1-py3-none-any.whl#sha256=" SUM
		"\n"
		"# pip b @ https://p.example/b-2-py3-none-any.whl#sha256=" SUM
		"\n");
}

static void a_lock_of_nothing_is_its_head(void **state)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_LOCK_MAX);
	cleanup_lock struct aq_lock *lock = new_lock();

	(void)state;
	assert_int_equal(aq_lock_finish(lock, NULL), 0);
	aq_explicit_print(lock, lock, &out);
	assert_string_equal(aq_str_get(&out), HEAD);
}

/* -- reading -- */

static int read_text(const char *text, size_t len, struct aq_request **ret,
		     struct aq_err *err)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	int rc;

	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, text, len, 0), len);
	rc = aq_request_read(path, &example_conf, ret, &warnings, err);
	assert_int_equal(warnings.n, 0);
	aq_strv_free(&warnings);
	return rc;
}

/* The canonical form of 'text', which is right, and which a node takes. */
static void expect(const char *text, const char *canonical)
{
	cleanup_request struct aq_request *req = NULL, *again = NULL;
	struct aq_err err;

	if (read_text(text, strlen(text), &req, &err))
		fail_msg("%s", err.text);
	assert_string_equal(req->canonical, canonical);
	if (aq_request_parse(req->canonical, req->canonical_len, &example_conf,
			     &again, &err))
		fail_msg("parse: %s", err.text);
	assert_string_equal(again->digest, req->digest);
}

/* 'text' is refused with exactly 'message' ("%" stands for the file). */
static void expect_refused(const char *text, const char *message)
{
	cleanup_str struct aq_str want = AQ_STR_INIT(8192);
	cleanup_request struct aq_request *req = NULL;
	struct aq_err err;

	if (!read_text(text, strlen(text), &req, &err))
		fail_msg("accepted as %s", req->canonical);
	for (; *message; message++)
		if (aq_starts_with(message, "%:"))
			aq_str_add(&want, path);
		else
			aq_str_add_char(&want, *message);
	assert_string_equal(err.text, aq_str_get(&want));
	assert_int_equal(err.class, AQ_USER);
}

static void what_is_printed_is_a_request_for_it(void **state)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_LOCK_MAX);
	cleanup_lock struct aq_lock *lock = example_lock();

	(void)state;
	aq_explicit_print(lock, NULL, &out);
	expect(aq_str_get(&out),
	       "aq-request 1\n"
	       "python ==3.9.6\n"
	       "channel conda-forge\n"
	       "channel bioconda\n"
	       "conda bioconda/noarch::a-b_c ==2024b 0[sha256=" SUM "]\n"
	       "conda conda-forge/linux-64::_mutex ==1!2 x[sha256=" SUM "]\n"
	       "conda conda-forge/linux-64::numpy ==2.0.2 py39h1_0[sha256=" SUM
	       "]\n"
	       "conda conda-forge/linux-64::pyfoo ==1.0 hpy_0[sha256=" SUM "]\n"
	       "conda conda-forge/linux-64::python ==3.9.6 h1_0[sha256=" SUM2
	       "]\n"
	       "pip pyyaml==6.0.20\n");
}

#define A FORGE "/linux-64/a-1-0.conda"
#define A_FORM                                                                \
	"aq-request 1\nchannel conda-forge\n"                                 \
	"conda conda-forge/linux-64::a ==1 0[sha256=" SUM "]\n"

static void other_clients_files_are_read(void **state)
{
	(void)state;
	expect("@EXPLICIT\n" A HASH, A_FORM);
	expect("\n # x\n\t@EXPLICIT \r\n\r\n  " A HASH "\r\n#\n", A_FORM);
	expect("\xef\xbb\xbf@EXPLICIT\n" A "#" SUM "\n", A_FORM);
	expect("@EXPLICIT\n@EXPLICIT\n" A HASH "\n" A HASH "\n", A_FORM);
	expect("# {{ pip }}\n@EXPLICIT\n" A
	       "#sha256:0123456789ABCDEF0123456789ABCDEF0123456789abcdef"
	       "0123456789abcdef\n",
	       A_FORM);
	expect("@EXPLICIT\n" FORGE "/linux-64/A-1-0.tar.bz2" HASH "\n", A_FORM);
}

static void pip_lines_are_conda_locks(void **state)
{
	static const char want[] =
		"aq-request 1\npython 3.12.*\npip ruamel-yaml==1!0.18+x\n";

	(void)state;
	expect("@EXPLICIT\n# pip ruamel.yaml @ https://p.example/"
	       "ruamel_yaml-1%210.18%2Bx-cp39-cp39-linux.whl#sha256=" SUM "\n",
	       want);
	expect("# pip Ruamel-YAML  @  https://p.example/ruamel_yaml-1!0.18+x-7-"
	       "cp39-cp39-linux.whl --hash=sha256:" SUM "\n@EXPLICIT\n"
	       "# pip ruamel.yaml == 1!0.18+x --hash=sha256:" SUM "\n",
	       want);
	expect("@EXPLICIT\n" A HASH "\n# pip b === 1 --hash=sha256:" SUM "\n",
	       "aq-request 1\npython 3.12.*\nchannel conda-forge\n"
	       "conda conda-forge/linux-64::a ==1 0[sha256=" SUM "]\n"
	       "pip b===1\n");
}

static void only_the_mark_makes_it_one(void **state)
{
	static const char *const others[] = {
		"", "\n", "#", "# @EXPLICIT\n", "@EXPLICITLY\n", "@EXPLICI",
		"name: x\n@EXPLICIT\n", "'@EXPLICIT'\n", A "\n@EXPLICIT\n",
		"@explicit\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (aq_explicit_is(others[i]))
			fail_msg("'%s' was taken", others[i]);
	assert_true(aq_explicit_is("@EXPLICIT"));
	assert_true(aq_explicit_is("#\n \n\r\n@EXPLICIT\t\r\nx"));
}

#define INSTEAD                                                               \
	" where the package's SHA-256 belongs: write '#sha256:' and 64 "      \
	"digits, as 'conda list --explicit --sha256' does"

static void several_errors_with_their_places(void **state)
{
	(void)state;
	expect_refused(
		"@EXPLICIT\n" A "\n  " A "#" MD5 "\n" A "#sha256:12\n"
		"numpy=1\n# pip -r x\n" A " " HASH "\n",
		"%:2:56: nothing" INSTEAD "\n%:3:58: an MD5" INSTEAD
		"\n%:4:56: 12" INSTEAD "\n%:5:1: 'numpy=1' is no URL: below "
		"'@EXPLICIT' each line is the URL of a package\n"
		"%:6:1: '# pip -r x' does not name a wheel: write '# pip NAME "
		"@ URL' of that package's wheel, or '# pip NAME==VERSION'\n"
		"%:7:1: 'https://mirror.example/conda-forge/linux-64/a-1-0."
		"conda #sha256:01234567…' has a blank or another character that "
		"a URL cannot have: write one package's URL a line");
}

static void packages_of_other_channels_are_refused(void **state)
{
	(void)state;
	/* of the map's names, or nearly: what to write */
	expect_refused("@EXPLICIT\nhttps://conda.anaconda.org/bioconda/noarch/"
		       "a-1-0.conda" HASH "\n"
		       "https://u:secret@h.example/t/secret/conda-forge/"
		       "linux-64/a-1-0.conda" HASH "\n",
		       "%:2:1: a package of a channel that is not in the "
		       "administrator's map: write 'https://mirror.example/"
		       "bioconda/noarch/…', which is 'bioconda' here\n"
		       "%:3:1: a package of a channel that is not in the "
		       "administrator's map: write 'https://mirror.example/"
		       "conda-forge/linux-64/…', which is 'conda-forge' here");
	expect_refused("@EXPLICIT\nhttps://h.example/x/linux-64/a-1-0.conda"
		       HASH "\nhttps://u:secret@h.example/x/linux-64/"
		       "b-1-0.conda" HASH "\n",
		       "%:2:1: channel 'https://h.example/x' is not in the "
		       "administrator's map: name one of conda-forge, "
		       "bioconda, pytorch, or ask for it to be added\n"
		       "%:3:1: a channel with credentials is not in the "
		       "administrator's map: name one of conda-forge, "
		       "bioconda, pytorch");
}

static void one_package_is_one(void **state)
{
	(void)state;
	expect_refused("@EXPLICIT\n" A HASH "\n" A "#" SUM2 "\n",
		       "%:3:1: 'https://mirror.example/conda-forge/linux-64/"
		       "a-1-0.conda#1123456789abcdef…' is a package that is listed "
		       "above as another one: keep one of the two");
}

static void nothing_and_too_much_are_refused(void **state)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_REQUEST_FILE_MAX);

	(void)state;
	expect_refused("# a\n@EXPLICIT\n# b\n",
		       "%:1:1: nothing is asked for: list packages below "
		       "'@EXPLICIT'");
	aq_str_add(&text, "@EXPLICIT\n");
	for (int i = 0; i < 400; i++)
		aq_str_add_fmt(&text, FORGE "/noarch/p%d-1-0.conda#" SUM "\n",
			       i);
	assert_int_equal(text.broken, 0);
	expect_refused(aq_str_get(&text),
		       "%:1:1: as a request this lock file is over 30 KiB: "
		       "give the environment file that it was made from");
}

/* Nothing of a URL becomes another part of a spec, or another spec. */
static void hostile_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"://", "a://", "://linux-64/a-1-0.conda", "/linux-64/a.conda",
		"#", "https://", FORGE, FORGE "/linux-64/",
		FORGE "/linux-64/.conda", FORGE "/linux-64/a.conda",
		FORGE "/linux-64/a-1.conda", FORGE "/linux-64/-1-0.conda",
		FORGE "/linux-64/--.conda", FORGE "/linux-64/a--0.conda",
		FORGE "/linux-64/a-1-.conda", FORGE "/linux-64/a-1-0.whl",
		FORGE "/linux-64/a-1-0.conda?x", FORGE "/linux-64/a-1-0.tar",
		FORGE "/linux-64/a-*-0.conda", FORGE "/linux-64/a-1-*.conda",
		FORGE "/linux-64/a-1-%2A.conda",
		FORGE "/linux-64/a-1%00-0.conda",
		FORGE "/linux-64/a-1%-0.conda", FORGE "/linux-64/a-1-0%.conda",
		FORGE "/linux-64/a-1-0%2.conda",
		FORGE "/linux-64/a-1%2C2-0.conda",
		FORGE "/linux-64/a-1|2-0.conda",
		FORGE "/linux-64/a-1%0A-0.conda",
		FORGE "/linux-64/a-%3E1-0.conda",
		FORGE "/linux-64/a[x=1]-1-0.conda",
		FORGE "/linux-64/a%20b-1-0.conda",
		FORGE "/linux-64/a%2Fb-1-0.conda",
		FORGE "/linux-64/x::a-1-0.conda",
		FORGE "/linux-64/a b-1-0.conda", FORGE "/linux-64/\x01-1-0.conda",
		FORGE "/linux-64/\xc3\xa4-1-0.conda", FORGE "/a-1-0.conda",
		FORGE "/osx-64/a-1-0.conda", FORGE "/win-64/a-1-0.conda",
		FORGE "/linux-65/a-1-0.conda", FORGE "/../linux-64/a-1-0.conda",
		FORGE "/x/linux-64/a-1-0.conda",
		"conda-forge/linux-64/a-1-0.conda",
		"conda-forge://linux-64/a-1-0.conda",
		"file:///linux-64/a-1-0.conda",
		"https://mirror.example/linux-64/a-1-0.conda",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		cleanup_str struct aq_str text = AQ_STR_INIT(4096);
		cleanup_request struct aq_request *req = NULL;
		struct aq_err err;

		aq_str_add_fmt(&text, "@EXPLICIT\n%s" HASH "\n", lines[i]);
		if (strcmp(lines[i], "#") == 0)
			aq_str_add(&text, "x");
		if (read_text(aq_str_get(&text), text.len, &req, &err) !=
		    AQ_USER)
			fail_msg("'%s' was taken as %s", lines[i],
				 req ? req->canonical : err.text);
		assert_null(strchr(err.text, '\n'));
	}
}

static void hostile_pip_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"a", "@", "=", "a @", "a @ ", "a @ x", "a @ /.whl", "a=1",
		"a>=1", "a == ", "-r x == 1", "-c @ /x", "== 1", "@ /a-1.whl",
		"a @ https://p/a-1.tar.gz", "a @ https://p/a-1.whl",
		"a @ https://p/a-1-py3-none.whl", "a @ git+https://p/a@1",
		"a @ https://p/b-1-py3-none-any.whl",
		"a @ https://p/aa-1-py3-none-any.whl",
		"aa @ https://p/a-1-py3-none-any.whl",
		"a @ https://p/a--py3-none-any.whl",
		"a @ https://p/a-1.*-py3-none-any.whl",
		"a @ https://p/a-1,2-py3-none-any.whl",
		"a @ https://p/a-1%00-py3-none-any.whl",
		"a @ https://p/a-1-2-py3-none-any-x.whl",
		"a[b] @ https://p/a-1-py3-none-any.whl",
		"a == 1 -i https://p", "a @ a-1-py3-none-any.whl",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		cleanup_str struct aq_str text = AQ_STR_INIT(4096);
		cleanup_request struct aq_request *req = NULL;
		struct aq_err err;

		aq_str_add_fmt(&text, "@EXPLICIT\n# pip %s\n", lines[i]);
		if (read_text(aq_str_get(&text), text.len, &req, &err) !=
		    AQ_USER)
			fail_msg("'%s' was taken as %s", lines[i],
				 req ? req->canonical : err.text);
		assert_true(aq_starts_with(err.text + strlen(path), ":2:1: "));
	}
}

/* -- at random -- */

static unsigned int seed = 20241124;

static unsigned int below(unsigned int n)
{
	return (unsigned int)rand_r(&seed) % n;
}

/* A byte changed, taken out or doubled, some times. */
static void disturb(struct aq_str *s)
{
	static const char likely[] = "#%@-:/. \n\r=*,";

	for (unsigned int n = 1 + below(3); n && s->len > 2; n--) {
		size_t at = below((unsigned int)s->len - 1);

		if (below(3) == 0) {
			memmove(s->s + at, s->s + at + 1, s->len - at - 1);
			aq_str_truncate(s, s->len - 1);
		} else if (below(2)) {
			s->s[at] = s->s[at + 1];
		} else {
			s->s[at] = below(2) ? (char)below(256) :
					      likely[below(sizeof(likely) - 1)];
		}
	}
}

/* Whatever the bytes: a request that a node takes, or lines with places. */
static void damaged_files_are_told(void **state)
{
	unsigned long n = count_of("AQ_COUNT_EXPLICIT", 3000), accepted = 0;
	cleanup_lock struct aq_lock *lock = example_lock();

	(void)state;
	for (unsigned long i = 0; i < n; i++) {
		cleanup_request struct aq_request *req = NULL, *again = NULL;
		cleanup_str struct aq_str text = AQ_STR_INIT(AQ_LOCK_MAX);
		struct aq_err err;
		int rc;

		aq_explicit_print(lock, NULL, &text);
		disturb(&text);
		rc = read_text(text.s, text.len, &req, &err);
		if (rc) {
			assert_int_equal(rc, AQ_USER);
			assert_true(aq_starts_with(err.text, path));
			continue;
		}
		accepted++;
		if (aq_request_parse(req->canonical, req->canonical_len,
				     &example_conf, &again, &err))
			fail_msg("%s\n%s", err.text, req->canonical);
	}
	assert_true(accepted > n / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libraries_then_python_then_the_others),
		cmocka_unit_test(a_base_comes_too_but_for_what_is_replaced),
		cmocka_unit_test(a_lock_of_nothing_is_its_head),
		cmocka_unit_test(what_is_printed_is_a_request_for_it),
		cmocka_unit_test(other_clients_files_are_read),
		cmocka_unit_test(pip_lines_are_conda_locks),
		cmocka_unit_test(only_the_mark_makes_it_one),
		cmocka_unit_test(several_errors_with_their_places),
		cmocka_unit_test(packages_of_other_channels_are_refused),
		cmocka_unit_test(one_package_is_one),
		cmocka_unit_test(nothing_and_too_much_are_refused),
		cmocka_unit_test(hostile_lines_are_refused),
		cmocka_unit_test(hostile_pip_lines_are_refused),
		cmocka_unit_test(damaged_files_are_told),
	};
	int rc;

	fd = memfd_create("lock.txt", MFD_CLOEXEC);
	if (fd < 0)
		return 1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	close(fd);
	return rc;
}
