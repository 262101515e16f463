/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/domains.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "common/private.h"

struct each {
	struct cli *cli;
	domains_fn *fn;
	void *arg;
};

static int call(struct aq_conf *conf, void *arg, struct aq_err *err)
{
	const struct each *e = arg;
	struct aq_conf *node = e->cli->conf;
	int rc;

	e->cli->conf = conf;
	rc = e->fn(e->cli, e->arg, err);
	e->cli->conf = node;
	return rc;
}

int domains_each(struct cli *cli, domains_fn *fn, void *arg,
		 struct aq_err *err)
{
	struct each e = { cli, fn, arg };
	int rc = fn(cli, arg, err);

	if (rc || cli->is_personal || geteuid() != 0 || cli->conf->site)
		return rc;
	return aq_private_each(cli->conf, call, &e, err);
}

static int find_uid(const char *user, uint64_t *ret, struct aq_err *err)
{
	const struct passwd *pw;

	if (aq_parse_u64(user, UINT32_MAX, ret))
		return 0;
	pw = getpwnam(user);
	if (!pw)
		return aq_fail(err, AQ_MISS, "there is no user '%s'", user);
	*ret = pw->pw_uid;
	return 0;
}

int domains_enter(struct cli *cli, struct aq_err *err)
{
	uint64_t uid = 0;
	int rc;

	if (cli->is_personal || geteuid() != 0)
		return aq_fail(err, AQ_USER, "only root looks into private domains: 'aq list --shared' has your own");
	rc = find_uid(cli->private_user, &uid, err);
	if (rc)
		return rc;
	rc = aq_private_open(&cli->conf, (uid_t)uid, err);
	return rc == AQ_MISS ?
		aq_fail(err, rc, "user '%s' has no private environments on this node",
			cli->private_user) : rc;
}

const char *domains_owner(const struct aq_conf *conf,
			  char buf[DOMAINS_OWNER_SIZE])
{
	if (conf->domain.kind == AQ_SHARED)
		return "";
	snprintf(buf, DOMAINS_OWNER_SIZE, "%s (%u)", conf->domain.user,
		 (unsigned int)conf->domain.uid);
	return buf;
}

void domains_write(struct json *j, const struct aq_conf *conf)
{
	if (conf->domain.kind == AQ_PRIVATE)
		json_number(j, "private_to", conf->domain.uid);
	else
		json_text(j, "private_to", NULL);
}

static unsigned int inputs_of(const struct aq_request *req)
{
	return aq_domain_inputs(req->canonical, req->canonical_len);
}

void domains_print_request(const struct aq_request *req)
{
	unsigned int inputs = inputs_of(req);
	const char *gap = "private: ";

	printf("%-12s%s", "domain", inputs ? "" : "shared");
	for (size_t i = 0; i < AQ_INPUT_N; i++) {
		if (!(inputs & 1U << i))
			continue;
		printf("%s%s (%s=private)", gap,
		       aq_input_what((enum aq_input)i),
		       aq_input_name((enum aq_input)i));
		gap = ", ";
	}
	putchar('\n');
}

void domains_write_request(struct json *j, const struct aq_request *req)
{
	unsigned int inputs = inputs_of(req);

	json_text(j, "domain", inputs ? "private" : "shared");
	json_open(j, "rules", '[');
	for (size_t i = 0; i < AQ_INPUT_N; i++)
		if (inputs & 1U << i)
			json_text(j, NULL, aq_input_name((enum aq_input)i));
	json_close(j, ']');
}
