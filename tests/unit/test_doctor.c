/* SPDX-License-Identifier: Apache-2.0 */
/* What aq doctor reads: Slurm's configuration, plugstack.conf, versions, URLs. */
#include "tests/unit/unit.h"

#include <string.h>

#include "cli/doctor_parse.h"

static const char config[] =
	"Configuration data as of 2026-01-01T00:00:00\n"
	"AccountingStorageBackupHost = (null)\n"
	"PlugStackConfig         = /etc/slurm/plugstack.conf  \n"
	"PluginDir               = /usr/lib/slurm:/opt/slurm\n"
	"PrologEpilogTimeout     = 65534\n"
	"PrologFlags             = Alloc,Contain\n"
	"SLURM_VERSION           = 22.05.8\n"
	"UnkillableStepTimeout   = 60 sec\n"
	"\nSlurmctld(primary) at here is UP";

static void expect_config(const char *name, const char *want)
{
	char value[32] = "untouched";

	assert_true(parse_config_value(config, name, value, sizeof(value)));
	assert_string_equal(value, want);
}

static void values_of_slurms_configuration(void **state)
{
	char value[64] = "untouched";

	(void)state;
	expect_config("PlugStackConfig", "/etc/slurm/plugstack.conf");
	expect_config("PluginDir", "/usr/lib/slurm:/opt/slurm");
	expect_config("SLURM_VERSION", "22.05.8");
	expect_config("AccountingStorageBackupHost", "(null)");
	/* no name, a part of one, or no room */
	assert_false(parse_config_value(config, "Nonsense", value, 64));
	assert_false(parse_config_value(config, "Plugin", value, 64));
	assert_false(parse_config_value(config, "Slurmctld(primary)", value, 64));
	assert_false(parse_config_value(config, "PluginDir", value, 5));
	assert_false(parse_config_value("", "PluginDir", value, 64));
	assert_string_equal(value, "untouched");
}

static void expect_seconds(const char *text, uint64_t want)
{
	uint64_t n = 77;

	assert_true(parse_config_seconds(text, &n));
	assert_int_equal(n, want);
}

static void seconds_of_slurms_configuration(void **state)
{
	uint64_t n;

	(void)state;
	expect_seconds("60 sec", 60);
	expect_seconds("5", 5);
	expect_seconds("65534", 0);
	expect_seconds("4294967295", 0);
	expect_seconds("(null)", 0);
	expect_seconds("Unlimited", 0);
	assert_false(parse_config_seconds("", &n));
	assert_false(parse_config_seconds("soon", &n));
	assert_false(parse_config_seconds("5 min", &n));
	assert_false(parse_config_seconds("99999999999999999999999999", &n));
}

static void expect_line(const char *text, int kind, const char *what,
			const char *arguments)
{
	struct plugstack_line line;

	parse_plugstack_line(text, &line);
	assert_int_equal(line.kind, kind);
	assert_string_equal(line.what, what);
	assert_string_equal(line.arguments, arguments);
}

static void lines_of_plugstack(void **state)
{
	char longest[4096];
	struct plugstack_line line;

	(void)state;
	expect_line("optional spank_aq.so config=/etc/slurm/aq.conf\nrequired x",
		    PLUGSTACK_OPTIONAL, "spank_aq.so",
		    "config=/etc/slurm/aq.conf");
	expect_line("  Required\t/usr/lib/slurm/x.so  a  b # why", PLUGSTACK_REQUIRED,
		    "/usr/lib/slurm/x.so", "a  b");
	expect_line("include plugstack.conf.d/*", PLUGSTACK_INCLUDE,
		    "plugstack.conf.d/*", "");
	expect_line("", PLUGSTACK_NOTHING, "", "");
	expect_line("  \t\r\n", PLUGSTACK_NOTHING, "", "");
	expect_line("# optional spank_aq.so", PLUGSTACK_NOTHING, "", "");
	parse_plugstack_line("optional", &line);
	assert_int_equal(line.kind, PLUGSTACK_WRONG);
	parse_plugstack_line("maybe x.so", &line);
	assert_int_equal(line.kind, PLUGSTACK_WRONG);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	parse_plugstack_line(longest, &line);
	assert_int_equal(line.kind, PLUGSTACK_WRONG);
}

static void expect_version(const char *text, const char *want)
{
	char version[16] = "";

	assert_true(parse_version(text, version, sizeof(version)));
	assert_string_equal(version, want);
}

static void versions_of_programs(void **state)
{
	char version[16];

	(void)state;
	expect_version("uv 0.13.9 (x86_64-unknown-linux-gnu)\n", "0.13.9");
	expect_version("2.0.5", "2.0.5");
	expect_version("conda 26.5.2", "26.5.2");
	expect_version("py-rattler 0.28.0.\n", "0.28.0");
	expect_version("mamba 2\nlibmamba 1.5.8", "1.5.8");
	assert_false(parse_version("", version, sizeof(version)));
	assert_false(parse_version("no such thing 7", version, sizeof(version)));
	assert_false(parse_version("1.2.3.4.5.6.7.8.9.10.11", version, 16));
}

static void versions_in_order(void **state)
{
	static const char *const sorted[] = { "0.8.6", "0.11.6", "0.11.15",
					      "0.24", "0.24.0.1", "1",
					      "22.05.8", "26.5.2" };

	(void)state;
	for (size_t i = 0; i < sizeof(sorted) / sizeof(sorted[0]); i++)
		for (size_t j = 0; j < sizeof(sorted) / sizeof(sorted[0]); j++) {
			int got = compare_versions(sorted[i], sorted[j]);

			assert_int_equal(got < 0, i < j);
			assert_int_equal(got > 0, i > j);
		}
	assert_int_equal(compare_versions("0.24", "0.24.0"), 0);
	assert_true(is_same_slurm("22.05.8", "22.05.11"));
	assert_false(is_same_slurm("22.05.8", "22.11.8"));
	assert_false(is_same_slurm("24.05", "22.05"));
	assert_false(is_same_slurm("", "22.05"));
	assert_false(is_same_slurm("22", "22"));
}

static void file_systems_have_names(void **state)
{
	bool is_network = false;

	(void)state;
	assert_string_equal(file_system_name(0x6969, &is_network), "nfs");
	assert_true(is_network);
	assert_string_equal(file_system_name(0xEF53, &is_network), "ext4");
	assert_false(is_network);
	assert_null(file_system_name(0x12345678, &is_network));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_slurms_configuration),
		cmocka_unit_test(seconds_of_slurms_configuration),
		cmocka_unit_test(lines_of_plugstack),
		cmocka_unit_test(versions_of_programs),
		cmocka_unit_test(versions_in_order),
		cmocka_unit_test(file_systems_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
