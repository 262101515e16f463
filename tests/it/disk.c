/* SPDX-License-Identifier: Apache-2.0 */
/* disk IMAGE LOG MOUNTPOINT: a disk that remembers, for power cuts.  At MOUNTPOINT
 * are the files "image", which is IMAGE, and "mark".  A loop device over the first is
 * the disk: LOG gets each write with its data and each flush, in their order, and what
 * is written to "mark" between them.  tests/it/power.py makes of these what a disk
 * holds that lost its power at any of them.  Ends with the file system's unmount.
 *
 * A record is a struct record and 'len' bytes.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE "/image"
#define MARK "/mark"

enum { RECORD_WRITE, RECORD_FLUSH, RECORD_MARK };

struct record {
	uint64_t kind, offset, len;
};

static int image_fd, log_fd;

static int note(uint64_t kind, const char *mem, size_t len, off_t offset)
{
	const struct record r = { kind, (uint64_t)offset, len };

	if (write(log_fd, &r, sizeof(r)) != sizeof(r) ||
	    write(log_fd, mem, len) != (ssize_t)len)
		return -EIO;
	return 0;
}

static int do_getattr(const char *path, struct stat *st,
		      struct fuse_file_info *fi)
{
	struct stat image;

	(void)fi;
	memset(st, 0, sizeof(*st));
	st->st_nlink = 1;
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0700;
	} else if (strcmp(path, IMAGE) == 0) {
		if (fstat(image_fd, &image) < 0)
			return -errno;
		st->st_mode = S_IFREG | 0600;
		st->st_size = image.st_size;
	} else if (strcmp(path, MARK) == 0) {
		st->st_mode = S_IFREG | 0600;
	} else {
		return -ENOENT;
	}
	return 0;
}

/* A mark is of no length, however often it is written. */
static int do_open(const char *path, struct fuse_file_info *fi)
{
	fi->direct_io = strcmp(path, MARK) == 0;
	return 0;
}

static int do_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	(void)fi;
	return strcmp(path, MARK) == 0 && size == 0 ? 0 : -EPERM;
}

static int do_read(const char *path, char *mem, size_t len, off_t offset,
		   struct fuse_file_info *fi)
{
	ssize_t n = strcmp(path, IMAGE) == 0 ?
			    pread(image_fd, mem, len, offset) : 0;

	(void)fi;
	return n < 0 ? -errno : (int)n;
}

static int do_write(const char *path, const char *mem, size_t len, off_t offset,
		    struct fuse_file_info *fi)
{
	int rc;

	(void)fi;
	if (strcmp(path, MARK) == 0)
		rc = note(RECORD_MARK, mem, len, 0);
	else if (pwrite(image_fd, mem, len, offset) != (ssize_t)len)
		rc = -EIO;
	else
		rc = note(RECORD_WRITE, mem, len, offset);
	return rc ? rc : (int)len;
}

static int do_fsync(const char *path, int is_datasync, struct fuse_file_info *fi)
{
	(void)is_datasync;
	(void)fi;
	return strcmp(path, IMAGE) == 0 ? note(RECORD_FLUSH, "", 0, 0) : 0;
}

/* Writes of the image pass through us, which must not wait for them. */
static void *do_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	(void)conn;
	config->kernel_cache = 1; /* nobody else changes the image */
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	return NULL;
}

static const struct fuse_operations operations = {
	.init = do_init,
	.getattr = do_getattr,
	.open = do_open,
	.truncate = do_truncate,
	.read = do_read,
	.write = do_write,
	.fsync = do_fsync,
};

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: disk IMAGE LOG MOUNTPOINT\n");
		return 2;
	}
	image_fd = open(argv[1], O_RDWR | O_CLOEXEC);
	log_fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (image_fd < 0 || log_fd < 0) {
		perror(argv[image_fd < 0 ? 1 : 2]);
		return 1;
	}
	/* one thread: the order in the log is the disk's */
	return fuse_main(4, ((char *[]){ argv[0], (char *)(uintptr_t)"-f", (char *)(uintptr_t)"-s",
					 argv[3], NULL }), &operations, NULL);
}
