/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/magic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include "plugin/rim.h"

/* Where no disk can hang; asking a file system may itself. */
static bool is_in_memory(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && st.f_type == TMPFS_MAGIC;
}

/* A byte, whether it is in memory, and room for the descriptor. */
struct message {
	char byte;
	struct iovec iov;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg;
};

static void message_init(struct message *m, char byte)
{
	*m = (struct message){ .byte = byte };
	m->iov = (struct iovec){ .iov_base = &m->byte, .iov_len = 1 };
	m->msg = (struct msghdr){ .msg_iov = &m->iov,
				  .msg_iovlen = 1,
				  .msg_control = &m->control,
				  .msg_controllen = sizeof(m->control) };
}

void rim_lease_send(int socket, int fd)
{
	struct message m;
	struct cmsghdr *c;

	message_init(&m, is_in_memory(fd));
	c = CMSG_FIRSTHDR(&m.msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	/* if it cannot be sent the lease ends with this worker: the step has
	 * no reference then, and says so in the log
	 */
	if (sendmsg(socket, &m.msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

int rim_lease_receive(int socket, bool *ret_is_in_memory)
{
	struct message m;
	struct cmsghdr *c;
	int fd = -1;

	message_init(&m, 0);
	if (recvmsg(socket, &m.msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&m.msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	*ret_is_in_memory = m.byte != 0;
	return fd;
}
