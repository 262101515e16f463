/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "builder/activation.h"
#include "common/envops.h"

/* What a script does to a world, by a function instead of a shell. */
typedef void script(struct aq_envmap *env);

static void set_fmt(struct aq_envmap *env, const char *name, const char *a,
		    const char *b, const char *c)
{
	char value[1024];

	snprintf(value, sizeof(value), "%s%s%s", a ? a : "", b, c ? c : "");
	aq_envmap_set(env, name, value);
}

static void start_world(struct aq_envmap *env)
{
	aq_envmap_set(env, "HOME", "/aq/home/one");
	aq_envmap_set(env, "USER", "aq-user-one");
	aq_envmap_set(env, "LOGNAME", "aq-user-one");
	aq_envmap_set(env, "PATH", "/p/bin:/usr/bin");
	aq_envmap_set(env, "CONDA_PREFIX", "/p");
}

static void free_world(struct world *w)
{
	aq_envmap_free(&w->before);
	aq_envmap_free(&w->after);
}

static int decide(script *fn, struct aq_str *ops, struct aq_err *err)
{
	__attribute__((cleanup(free_world))) struct world a = { 0 }, b = { 0 };

	start_world(&a.before);
	aq_envmap_copy(&a.after, &a.before);
	fn(&a.after);
	activation_other_world(&a, &b.before);
	aq_envmap_copy(&b.after, &b.before);
	fn(&b.after);
	return activation_decide(&a, &b, ops, err);
}

/* Decide 'fn', replay it on a task's variables, compare NAME with 'expected'
 * (NULL: unset).
 */
static void expect(script *fn, const char *former, const char *name,
		   const char *expected)
{
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	cleanup_strv struct aq_strv set = { 0 }, unset = { 0 };
	struct aq_err err = { 0 };
	char had[256];
	char *env[] = { (char *)"HOME=/home/u", (char *)"USER=u",
			(char *)"PATH=/bin", former ? had : NULL, NULL };
	const char *got = NULL;

	if (former)
		snprintf(had, sizeof(had), "%s=%s", name, former);
	assert_int_equal(decide(fn, &ops, &err), 0);
	assert_int_equal(aq_envops_plan(env, aq_str_get(&ops), ops.len, &set,
					&unset, &err), 0);
	for (size_t i = 0; i < set.n; i++)
		if (strncmp(set.v[i], name, strlen(name)) == 0 &&
		    set.v[i][strlen(name)] == '=')
			got = set.v[i] + strlen(name) + 1;
	if (!got && former && !aq_strv_has(&unset, name))
		got = former;
	if (expected)
		assert_non_null(got);
	else
		assert_null(got);
	if (expected)
		assert_string_equal(got, expected);
}

static void sets(struct aq_envmap *e)
{
	aq_envmap_set(e, "X", "1");
}
static void prepends(struct aq_envmap *e)
{
	const char *old = aq_envmap_get(e, "X");

	set_fmt(e, "X", "/p/lib", old ? ":" : "", old);
}
static void prepends_with_a_colon(struct aq_envmap *e)
{
	const char *old = aq_envmap_get(e, "X");

	set_fmt(e, "X", "/p/lib", ":", old);
}
static void appends(struct aq_envmap *e)
{
	const char *old = aq_envmap_get(e, "X");

	set_fmt(e, "X", old, old ? ":" : "", "/p/share");
}
static void follows_home(struct aq_envmap *e)
{
	set_fmt(e, "X", aq_envmap_get(e, "HOME"), "/.x/", aq_envmap_get(e, "USER"));
}
static void adds_flags(struct aq_envmap *e)
{
	set_fmt(e, "X", aq_envmap_get(e, "X"), " -O2", NULL);
}
static void changes_path(struct aq_envmap *e)
{
	char *old = strdup(aq_envmap_get(e, "PATH"));

	set_fmt(e, "PATH", "/p/extra", ":", old);
	free(old);
}
static int calls;
static void counts(struct aq_envmap *e)
{
	set_fmt(e, "X", calls++ ? "second" : "first", "", NULL);
}
static void counts_then_unsets(struct aq_envmap *e)
{
	if (calls++)
		aq_envmap_unset(e, "X");
	else
		aq_envmap_set(e, "X", "1");
}
static void is_the_shells_business(struct aq_envmap *e)
{
	set_fmt(e, "SHLVL", calls++ ? "1" : "2", "", NULL);
	aq_envmap_set(e, "BASH_FUNC_f%%", "() { :; }");
}

static void what_scripts_do_is_replayed(void **state)
{
	(void)state;
	expect(sets, NULL, "X", "1");
	expect(sets, "old", "X", "1");
	expect(prepends, NULL, "X", "/p/lib");
	expect(prepends, "/a:/b", "X", "/p/lib:/a:/b");
	expect(prepends_with_a_colon, NULL, "X", "/p/lib");
	expect(prepends_with_a_colon, "/a", "X", "/p/lib:/a");
	expect(appends, NULL, "X", "/p/share");
	expect(appends, "/a", "X", "/a:/p/share");
	expect(follows_home, NULL, "X", "/home/u/.x/u");
	expect(adds_flags, NULL, "X", " -O2");
	expect(adds_flags, "-g", "X", "-g -O2");
	expect(changes_path, NULL, "PATH", "/p/extra:/bin");
	expect(is_the_shells_business, NULL, "SHLVL", NULL);
}

static void what_differs_from_run_to_run_is_refused(void **state)
{
	script *const bad[] = { counts, counts_then_unsets };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
		struct aq_err err = { 0 };

		calls = 0;
		assert_int_equal(decide(bad[i], &ops, &err), AQ_USER);
		assert_non_null(strstr(err.text, "'X'"));
	}
}

/* -- what values may name -- */

/* What activation scripts of conda's packages set in the prefix /p. */
static void compilers(struct aq_envmap *e)
{
	aq_envmap_set(e, "CC", "/p/bin/x86_64-conda-linux-gnu-cc");
	aq_envmap_set(e, "CFLAGS", "-march=nocona -O2 -ffunction-sections -pipe -isystem /p/include");
	aq_envmap_set(e, "LDFLAGS", "-Wl,-O2 -Wl,-rpath,/p/lib -Wl,-rpath-link,/p/lib -L/p/lib");
	aq_envmap_set(e, "CMAKE_PREFIX_PATH", "/p:/p/x86_64-conda-linux-gnu/sysroot/usr");
	aq_envmap_set(e, "CMAKE_ARGS", "-DCMAKE_AR=/p/bin/ar -DCMAKE_INSTALL_PREFIX=/p");
	aq_envmap_set(e, "CONDA_BUILD_SYSROOT", "/p/x86_64-conda-linux-gnu/sysroot");
	aq_envmap_set(e, "_CONDA_PYTHON_SYSCONFIGDATA_NAME", "_sysconfigdata_x86_64_conda_linux_gnu");
	aq_envmap_set(e, "HOST", "x86_64-conda-linux-gnu");
	aq_envmap_set(e, "build_alias", "x86_64-conda-linux-gnu");
}
static void geo(struct aq_envmap *e)
{
	aq_envmap_set(e, "GDAL_DATA", "/p/share/gdal");
	aq_envmap_set(e, "GDAL_DRIVER_PATH", "/p/lib/gdalplugins");
	aq_envmap_set(e, "PROJ_DATA", "/p/share/proj");
	aq_envmap_set(e, "PROJ_NETWORK", "ON");
	aq_envmap_set(e, "GEOTIFF_CSV", "/p/share/epsg_csv");
	aq_envmap_set(e, "UDUNITS2_XML_PATH", "/p/share/udunits/udunits2.xml");
	aq_envmap_set(e, "CPL_ZIP_ENCODING", "UTF-8");
}
static void openjdk(struct aq_envmap *e)
{
	aq_envmap_set(e, "JAVA_HOME", "/p/lib/jvm");
	aq_envmap_set(e, "JAVA_LD_LIBRARY_PATH", "/p/lib/jvm/lib/server");
	set_fmt(e, "PATH", "/p/lib/jvm/bin:", aq_envmap_get(e, "PATH"), NULL);
}
static void cuda(struct aq_envmap *e)
{
	const char *old = aq_envmap_get(e, "LD_LIBRARY_PATH");

	set_fmt(e, "LD_LIBRARY_PATH", "/p/targets/x86_64-linux/lib:/p/lib",
		old ? ":" : "", old);
	aq_envmap_set(e, "NVCC_PREPEND_FLAGS", " -ccbin=/p/bin/x86_64-conda-linux-gnu-c++");
	aq_envmap_set(e, "CUDAARCHS", "50-real;60-real;80");
	aq_envmap_set(e, "CUDA_HOME", "/usr/local/cuda");
	aq_envmap_set(e, "OCL_ICD_VENDORS", "/etc/OpenCL/vendors");
}
static void desktop(struct aq_envmap *e)
{
	aq_envmap_set(e, "XDG_DATA_DIRS", "/p/share:/usr/local/share:/usr/share");
	aq_envmap_set(e, "GSETTINGS_SCHEMA_DIR", "/p/share/glib-2.0/schemas");
	aq_envmap_set(e, "GI_TYPELIB_PATH", "/p/lib/girepository-1.0");
	aq_envmap_set(e, "XML_CATALOG_FILES", "file:///p/etc/xml/catalog file:///etc/xml/catalog");
	aq_envmap_set(e, "MANPATH", "/p/share/man::");
	aq_envmap_set(e, "PKG_CONFIG_PATH", "/p/lib/pkgconfig:/p/share/pkgconfig");
}
static void languages(struct aq_envmap *e)
{
	aq_envmap_set(e, "PERL5LIB", "/p/lib/perl5/site_perl");
	aq_envmap_set(e, "R_HOME", "/p/lib/R");
	aq_envmap_set(e, "R_LIBS_SITE", "/p/lib/R/library");
	aq_envmap_set(e, "GOROOT", "/p/go");
	aq_envmap_set(e, "SSL_CERT_FILE", "/p/ssl/cacert.pem");
	aq_envmap_set(e, "PYTHONHASHSEED", "0");
	aq_envmap_set(e, "PYTHONIOENCODING", "utf-8:replace");
	aq_envmap_set(e, "LD_BIND_NOW", "1");
	aq_envmap_set(e, "LD_PRELOAD", "/p/lib/libjemalloc.so.2 /p/lib/libgomp.so.1");
	set_fmt(e, "CARGO_HOME", aq_envmap_get(e, "HOME"), "/.cargo", NULL);
	set_fmt(e, "PYTHONPATH", "/p/lib/extra", "", "");
}

static const struct places here = { "/p", "", "/var/lib/aq" };

static void real_activation_scripts_pass(void **state)
{
	static script *const real[] = { compilers, geo, openjdk, cuda, desktop,
					languages };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(real); i++) {
		cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
		struct aq_err err = { 0 };

		assert_int_equal(decide(real[i], &ops, &err), 0);
		if (activation_check(&here, &ops, &err) != 0)
			fail_msg("%zu: %s", i, err.text);
	}
}

/* What is said of NAME=value; a template where 'value' has references. */
static int check_value(enum aq_envop_kind kind, const char *name,
		       const char *value, const struct places *where)
{
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	struct aq_err err = { 0 };
	int rc;

	if (strchr(value, AQ_ENVOPS_REF))
		aq_envops_add_template(&ops, kind, name, value);
	else
		aq_envops_add(&ops, kind, name, value);
	rc = activation_check(where, &ops, &err);
	if (rc && !strstr(err.text, name))
		fail_msg("'%s' does not name '%s'", err.text, name);
	return rc;
}

static void what_others_can_change_is_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "PATH", "/tmp/aq-none" }, { "PATH", "/p/bin:/tmp" },
		{ "PATH", "/p/bin:" }, { "PATH", ":/p/bin" }, { "PATH", "." },
		{ "PATH", "bin" }, { "PATH", "/p/../tmp" }, { "PATH", "/tmp/bin" },
		{ "PATH", "/usr/../tmp" }, { "PATH", "/p/a/../../tmp" },
		{ "PATH", "/proc/self/cwd" }, { "LD_LIBRARY_PATH", "/dev/shm" },
		{ "LD_LIBRARY_PATH", "\1HOME\2/lib" },
		{ "PYTHONPATH", "/var/tmp/aq-none" }, { "PERL5LIB", "/tmp" },
		{ "XDG_DATA_DIRS", "/p/share:/tmp" }, { "MANPATH", "/tmp" },
		{ "CMAKE_PREFIX_PATH", "/p:/tmp/aq-none" },
		{ "LD_PRELOAD", "/usr/lib/x.so" }, { "LD_PRELOAD", "x.so" },
		{ "LD_PRELOAD", "/p/lib/a.so /tmp/b.so" },
		{ "LD_AUDIT", "/usr/lib/x.so" }, { "BASH_ENV", "/etc/profile" },
		{ "BASH_ENV", "\1HOME\2/.x" }, { "ENV", "/tmp/x" },
		{ "PYTHONSTARTUP", "/etc/x.py" }, { "PYTHONHOME", "/usr" },
		{ "GCONV_PATH", "/usr/lib/gconv" },
		{ "LD_DEBUG_OUTPUT", "/tmp/x" },
		{ "PYTHONPYCACHEPREFIX", "/tmp" }, { "PYTHONBREAKPOINT", "a/b" },
		{ "PROMPT_COMMAND", "true" }, { "AQ_UNDO", "x" },
		{ "SLURM_AQ_REQUEST", "x" }, { "SPANK_X", "x" },
		{ "SCRATCH", "/var/lib/aq/tmp/x" }, { "TMPDIR", "/var/lib/aq" },
		{ "FLAGS", "-I/p/include -I/var/lib/aq/pkgs/x/include" },
		{ "FLAGS", "-L\"/var/lib/aq/probe\"" },
		{ "LD_PRELOAD", "/p/./../x.so" }, { "LD_PRELOAD", "/p/../x.so" },
		{ "LD_PRELOAD", "/p/a/../../x.so" },
		{ "PATH", "\1HOME\2" }, { "AQ_X", "/p/x" },
	};
	static const char *const good[][2] = {
		{ "PATH", "/p/bin:/usr/bin" }, { "PATH", "/p" },
		{ "PATH", "/p/lib/../bin/./x" },
		{ "PATH", "/p/bin:\1PATH\2" }, { "LD_PRELOAD", "" },
		{ "LD_PRELOAD", "/p/ab/x.so" }, { "LD_PRELOAD", "/p/..x/y.so" },
		{ "LD_PRELOAD", "/p/a/../x.so" }, { "PATHOLOGY", "/tmp/x" },
		{ "X", "/tmp/x" }, { "X", "/var/lib/aquila" },
		{ "X", "https://c.example/var/lib/aq2" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (int k = AQ_ENVOP_SET; k <= AQ_ENVOP_APPEND; k++)
			if (k != AQ_ENVOP_UNSET &&
			    check_value((enum aq_envop_kind)k, bad[i][0],
					bad[i][1], &here) != AQ_USER)
				fail_msg("%s='%s' is let through", bad[i][0],
					 bad[i][1]);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (check_value(AQ_ENVOP_SET, good[i][0], good[i][1], &here))
			fail_msg("%s='%s' is refused", good[i][0], good[i][1]);
	assert_int_equal(check_value(AQ_ENVOP_UNSET, "LD_PRELOAD", "", &here), 0);
	assert_int_equal(check_value(AQ_ENVOP_UNSET, "PATH", "", &here), 0);
	assert_int_equal(check_value(AQ_ENVOP_UNSET, "X", "", &here), 0);
	assert_int_equal(check_value(AQ_ENVOP_UNSET, "SLURM_JOB_ID", "", &here),
			 AQ_USER);
}

/* What would be cut off is not what it would be judged by. */
static void too_long_a_path_is_refused(void **state)
{
	char value[6000];

	(void)state;
	memset(value, 'x', sizeof(value));
	memcpy(value, "/p/", 3);
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(check_value(AQ_ENVOP_SET, "PATH", value, &here), AQ_USER);
	value[4000] = '\0';
	assert_int_equal(check_value(AQ_ENVOP_SET, "PATH", value, &here), 0);
}

static void why_is_said(void **state)
{
	static const char *const cases[][3] = {
		{ "AQ_X", "x", "no package may" },
		{ "LD_PRELOAD", "x", "not in the environment" },
		{ "PYTHONX", "/x", "not in the environment" },
		{ "PATH", "x", "others than root" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
		struct aq_err err = { 0 };

		aq_envops_add(&ops, AQ_ENVOP_SET, cases[i][0], cases[i][1]);
		assert_int_equal(activation_check(&here, &ops, &err), AQ_USER);
		if (!strstr(err.text, cases[i][2]))
			fail_msg("%s", err.text);
	}
}

static void a_layers_values_may_name_its_base(void **state)
{
	static const struct places layer = { "/c/envs/l", "/c/envs/b", "/c" };
	static const struct places whole = { "/c/envs/l", "", "/c" };

	(void)state;
	assert_int_equal(check_value(AQ_ENVOP_SET, "LD_PRELOAD",
				     "/c/envs/b/lib/x.so", &layer), 0);
	assert_int_equal(check_value(AQ_ENVOP_SET, "X", "-L/c/envs/b/lib", &layer),
			 0);
	assert_int_equal(check_value(AQ_ENVOP_SET, "X", "-L/c/envs/b/lib", &whole),
			 AQ_USER);
	assert_int_equal(check_value(AQ_ENVOP_SET, "X", "/c/envs/bb/lib", &layer),
			 AQ_USER);
	assert_int_equal(check_value(AQ_ENVOP_SET, "X", "/c/envs/b/../x", &layer),
			 AQ_USER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_scripts_do_is_replayed),
		cmocka_unit_test(what_differs_from_run_to_run_is_refused),
		cmocka_unit_test(real_activation_scripts_pass),
		cmocka_unit_test(what_others_can_change_is_refused),
		cmocka_unit_test(too_long_a_path_is_refused),
		cmocka_unit_test(why_is_said),
		cmocka_unit_test(a_layers_values_may_name_its_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
