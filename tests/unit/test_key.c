/* SPDX-License-Identifier: Apache-2.0 */
/* common/key.c, sha256.c, sources.c, channel.c, nearest.c. */
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/key.h"
#include "common/nearest.h"
#include "common/sources.h"
#include "tests/unit/example_conf.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_sha256(void **state)
{
	char hex[AQ_SHA256_HEX_SIZE] = "";
	struct aq_err err;
	int fd = memfd_create("abc", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(aq_sha256("abc", 3, hex, &err), 0);
	assert_string_equal(hex, ABC); /* FIPS 180-4's example */
	assert_int_equal(aq_sha256("", 0, hex, &err), 0);
	assert_string_equal(hex, EMPTY);
	assert_int_equal(write(fd, "xxabc", 5), 5);
	assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
	assert_int_equal(aq_sha256_fd(fd, 3, hex, &err), 0);
	assert_string_equal(hex, ABC);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(aq_sha256_fd(fd, 4, hex, &err), AQ_SYS);
	assert_string_equal(hex, ABC);
	close(fd);
	assert_int_equal(aq_sha256_fd(fd, 4, hex, &err), AQ_SYS);
}

static struct aq_request *parse(const char *text)
{
	struct aq_request *req = NULL;
	struct aq_err err;

	if (aq_request_parse(text, strlen(text), &example_conf, &req, &err))
		fail_msg("%s", err.text);
	return req;
}

static void test_context(void **state)
{
	static const struct aq_domain shared = { .kind = AQ_SHARED };
	static const struct aq_domain private = { AQ_PRIVATE, 1001, "ann" };
	struct aq_domain nobody = { AQ_PRIVATE, 1001, NULL };
	cleanup_free char *text = NULL, *want = NULL, *other = NULL;
	struct aq_conf conf = example_conf;
	char *links[] = { TEXT("/srv/wheels/") };
	struct aq_err err;

	(void)state;
	conf.find_links = (struct aq_strv){ links, 1, 1, 1, 0 };
	assert_int_equal(aq_key_context(&conf, &shared, NULL, &text, &err), 0);
	assert_true(
		asprintf(&want,
			 "aq-context 1\nplatform %s\ndomain shared\n"
			 "channel conda-forge "
			 "https://mirror.example/conda-forge\n"
			 "channel bioconda https://mirror.example/bioconda\n"
			 "channel pytorch https://mirror.example/pytorch\n"
			 "index https://mirror.example/simple\n"
			 "find-links /srv/wheels\nbase none\n",
			 aq_platform_subdir()) > 0);
	assert_string_equal(text, want);
	assert_int_equal(aq_key_context(&conf, &private, ABC, &other, &err), 0);
	assert_non_null(strstr(other, "\ndomain private 1001 ann\n"));
	assert_non_null(strstr(other, "\nbase " ABC "\n"));
	free(other);
	other = NULL;
	assert_int_equal(aq_key_context(&conf, &shared, "x", &other, &err),
			 AQ_SYS);
	assert_int_equal(aq_key_context(&conf, &nobody, NULL, &other, &err),
			 AQ_SYS);
	nobody.user = "ann\nbase none";
	assert_int_equal(aq_key_context(&conf, &nobody, NULL, &other, &err),
			 AQ_SYS);
	assert_null(other);
}

static void test_key(void **state)
{
	cleanup_request struct aq_request *a = parse("aq-request 1\nconda a\n");
	cleanup_request struct aq_request *v =
		parse("aq-request 1\nconda a\nvariable X=1\n");
	cleanup_request struct aq_request *b = parse("aq-request 1\nconda b\n");
	char ka[AQ_SHA256_HEX_SIZE], kv[AQ_SHA256_HEX_SIZE],
		kb[AQ_SHA256_HEX_SIZE], kc[AQ_SHA256_HEX_SIZE];
	struct aq_err err;

	(void)state;
	assert_int_equal(aq_key(a, "x\n", ka, &err), 0);
	assert_int_equal(aq_key(v, "x\n", kv, &err), 0);
	assert_int_equal(aq_key(b, "x\n", kb, &err), 0);
	assert_int_equal(aq_key(a, "y\n", kc, &err), 0);
	assert_string_equal(ka, kv); /* variables build nothing */
	assert_string_not_equal(a->digest, v->digest);
	assert_string_not_equal(ka, kb);
	assert_string_not_equal(ka, kc);
}

static void expect_list(const struct aq_strv *v, const char *const *want)
{
	for (size_t i = 0; i < v->n; i++) {
		assert_non_null(want[i]);
		assert_string_equal(v->v[i], want[i]);
	}
	assert_null(want[v->n]);
}

static void test_sources(void **state)
{
	static const char *const named[] = { "https://mirror.example/bioconda",
					     "https://mirror.example/pytorch",
					     NULL };
	static const char *const all[] = { "https://mirror.example/conda-forge",
					   "https://mirror.example/bioconda",
					   "https://mirror.example/pytorch",
					   NULL };
	static const char *const specs[] = {
		"python >=3.9", "b ==1 x*",
		"https://mirror.example/pytorch/linux-64::a 2.*", NULL
	};
	cleanup_request struct aq_request *req = parse(
		"aq-request 1\npython >=3.9\nchannel bioconda\nconda b ==1 x*\n"
		"conda pytorch/linux-64::a 2.*\n");
	cleanup_request struct aq_request *none =
		parse("aq-request 1\nconda a\n");
	struct aq_strv urls = AQ_STRV_INIT(8), every = AQ_STRV_INIT(8),
		       told = AQ_STRV_INIT(8);
	struct aq_conf empty = { 0 };
	struct aq_err err;

	(void)state;
	assert_int_equal(aq_sources_channels(req, &example_conf, &urls, &err),
			 0);
	expect_list(&urls, named);
	assert_int_equal(aq_sources_channels(none, &example_conf, &every, &err),
			 0);
	expect_list(&every, all);
	assert_int_equal(aq_sources_specs(req, &example_conf, &told, &err), 0);
	expect_list(&told, specs);
	assert_int_equal(aq_sources_channels(req, &empty, &urls, &err),
			 AQ_USER);
	assert_int_equal(aq_sources_specs(req, &empty, &told, &err), AQ_USER);
	aq_strv_free(&urls);
	aq_strv_free(&every);
	aq_strv_free(&told);
}

static void test_channel(void **state)
{
	const struct aq_channel *c = NULL;
	char text[AQ_CHANNEL_NAME_MAX + 2];
	struct aq_err err;

	(void)state;
	assert_int_equal(
		aq_channel_find(&example_conf, " bioconda// ", &c, &err), 0);
	assert_ptr_equal(c, &example_channels[1]);
	assert_int_equal(aq_channel_find(&example_conf,
					 "https://mirror.example/pytorch/", &c,
					 &err),
			 0);
	assert_ptr_equal(c, &example_channels[2]);
	assert_int_equal(aq_channel_find(&example_conf,
					 "https://other.example/pytorch", &c,
					 &err),
			 AQ_USER);
	assert_non_null(strstr(err.text, "did you mean 'pytorch'?"));
	assert_int_equal(aq_channel_find(&example_conf, "/", &c, &err),
			 AQ_USER);
	assert_int_equal(
		aq_channel_find(&example_conf, "https://h/t/tk/x", &c, &err),
		AQ_USER);
	assert_null(strstr(err.text, "tk"));
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(aq_channel_find(&example_conf, text, &c, &err),
			 AQ_USER);
	assert_ptr_equal(c, &example_channels[2]);
}

static void test_nearest(void **state)
{
	static const char *const words[] = { "name", "channels", "dependencies",
					     "variables" };

	(void)state;
	assert_string_equal(aq_nearest("dependancies", words, 4),
			    "dependencies");
	assert_string_equal(aq_nearest("depndencies", words, 4),
			    "dependencies");
	assert_string_equal(aq_nearest("Channel", words, 4), "channels");
	assert_string_equal(aq_nearest("nmae", words, 4), "name");
	assert_null(aq_nearest("x", words, 4));
	assert_null(aq_nearest("version", words, 4));
	assert_null(aq_nearest("", words, 4));
	assert_null(
		aq_nearest("dependencies-and-much-more-than-fits", words, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),	cmocka_unit_test(test_context),
		cmocka_unit_test(test_key),	cmocka_unit_test(test_sources),
		cmocka_unit_test(test_channel), cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
