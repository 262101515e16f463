/* SPDX-License-Identifier: Apache-2.0 */
/* What nothing has to be waited for. */
#include "tests/unit/unit.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/at_hand.h"
#include "tests/unit/cachedir.h"

static void files_of_a_needed_file_system(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *file = path_below(conf->run_dir, "file");
	cleanup_free char *link = path_below(conf->run_dir, "link");
	cleanup_free char *fifo = path_below(conf->run_dir, "fifo");
	cleanup_free char *below = path_below(link, "file");

	assert_false(aq_at_hand_file(file));
	scribble(file, 0, "x", 1);
	assert_true(aq_at_hand_file(file));
	assert_false(aq_at_hand_file(conf->run_dir)); /* a directory */
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_false(aq_at_hand_file(fifo));
	assert_int_equal(symlink(file, link), 0);
	assert_false(aq_at_hand_file(link));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink(conf->run_dir, link), 0);
	assert_false(aq_at_hand_file(below));
	assert_false(aq_at_hand_file("/proc/version"));
	assert_false(aq_at_hand_file("/proc/self/cwd/file"));
	assert_false(aq_at_hand_file(""));
}

static void directories_in_memory(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *file = path_below(conf->run_dir, "file");

	assert_true(aq_at_hand_memory(conf->run_dir));
	scribble(file, 0, "x", 1);
	assert_false(aq_at_hand_memory("/proc/self"));
	assert_false(aq_at_hand_memory("/sys"));
	assert_false(aq_at_hand_memory("/dev/shm/there/is/none"));
}

static void what_is_seen(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *file = path_below(conf->run_dir, "file");
	cleanup_free char *link = path_below(conf->run_dir, "link");
	struct aq_seen by_memory, by_looking, later;

	assert_false(aq_at_hand_see(file, &by_memory));
	assert_false(aq_see(file, &by_looking));
	scribble(file, 0, "x", 1);
	assert_true(aq_at_hand_see(file, &by_memory));
	assert_true(aq_see(file, &by_looking));
	assert_memory_equal(&by_memory, &by_looking, sizeof(by_looking));
	assert_int_equal(by_looking.size, 1);
	assert_int_equal(symlink(file, link), 0);
	assert_true(aq_at_hand_see(link, &later));
	assert_memory_equal(&later, &by_looking, sizeof(later));
	usleep(20000); /* more than a tick of the kernel's clock */
	scribble(file, 0, "y", 1);
	assert_true(aq_at_hand_see(file, &later));
	assert_memory_not_equal(&later, &by_looking, sizeof(later));
	assert_int_equal(later.inode, by_looking.inode);
}

static void what_is_local(void **state)
{
	const struct aq_conf *conf = *state;

	assert_true(aq_is_local(conf->run_dir));
	assert_false(aq_is_local("/proc"));
	assert_false(aq_is_local("/there/is/none"));
}

/* Of so many some may fail: all tries of one may meet a mount. Without trying again
 * hundreds do.
 */
#define LOOKS 50000
#define FAILED_MAX 10

/* In namespaces of its own, until it is killed. */
static void mount_and_unmount(const char *dir) __attribute__((noreturn));
static void mount_and_unmount(const char *dir)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(1);
	while (mount("aq-test", dir, "tmpfs", 0, NULL) == 0 && umount(dir) == 0)
		;
	_exit(1);
}

/* As a container's start and end do. */
static void while_others_mount(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *file = path_below(conf->run_dir, "file");
	cleanup_free char *dir = path_below(conf->run_dir, "mounted");
	struct aq_seen seen;
	int failed = 0, status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	scribble(file, 0, "x", 1);
	assert_int_equal(mkdir(dir, 0700), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		mount_and_unmount(dir);
	for (int i = 0; i < LOOKS; i++)
		failed += !aq_at_hand_see(file, &seen) ||
			  !aq_at_hand_memory(conf->run_dir);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status)); /* it could */
	assert_in_range(failed, 0, FAILED_MAX);
}

int main(void)
{
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, cachedir_setup_in_memory,        \
					cachedir_teardown)
	const struct CMUnitTest tests[] = {
		TEST(files_of_a_needed_file_system),
		TEST(directories_in_memory),
		TEST(what_is_seen),
		TEST(while_others_mount),
		TEST(what_is_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
