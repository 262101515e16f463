/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store_schema.h"

#include "common/store_inside.h"
#include "common/workflow_rows.h"

/* Only append: a step that was released is never changed. */
static const char *const migrations[] = {
	"CREATE TABLE environments("
	"  name TEXT PRIMARY KEY, lock TEXT NOT NULL, generation INTEGER NOT NULL,"
	"  kind INTEGER NOT NULL, base TEXT NOT NULL, python TEXT NOT NULL,"
	"  created INTEGER NOT NULL, last_used INTEGER NOT NULL,"
	"  uses INTEGER NOT NULL, build_ms INTEGER NOT NULL,"
	"  size_own INTEGER NOT NULL, size_shared INTEGER NOT NULL,"
	"  pinned INTEGER NOT NULL, reason TEXT NOT NULL,"
	"  packages INTEGER NOT NULL, uid INTEGER NOT NULL,"
	"  UNIQUE(lock, generation)"
	") WITHOUT ROWID;"
	"CREATE INDEX environments_by_base ON environments(base)"
	"  WHERE base != '';"
	"CREATE INDEX environments_by_uid ON environments(uid, size_own);"
	/* apart, since it is most of an environment, and no list reads it */
	"CREATE TABLE activations("
	"  env TEXT PRIMARY KEY REFERENCES environments(name)"
	"    ON DELETE CASCADE,"
	/* of the environment, aq_store_sum(): SQLite tells no flipped bit */
	"  ops BLOB NOT NULL, sum INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE TABLE keys("
	"  key TEXT NOT NULL,"
	"  env TEXT NOT NULL REFERENCES environments(name) ON DELETE CASCADE,"
	"  seq INTEGER NOT NULL, plain INTEGER NOT NULL,"
	"  PRIMARY KEY(key, env)"
	") WITHOUT ROWID;"
	"CREATE INDEX keys_by_env ON keys(env);"
	"CREATE INDEX keys_not_plain ON keys(env) WHERE plain = 0;"
	"CREATE TABLE requests("
	"  digest TEXT NOT NULL, context TEXT NOT NULL, key TEXT NOT NULL,"
	"  canonical TEXT NOT NULL, seq INTEGER NOT NULL,"
	"  PRIMARY KEY(digest, context)"
	") WITHOUT ROWID;"
	"CREATE INDEX requests_by_key ON requests(key, seq);"
	"CREATE TABLE failures("
	"  key TEXT PRIMARY KEY, reason TEXT NOT NULL,"
	"  is_refusal INTEGER NOT NULL, since INTEGER NOT NULL,"
	"  ttl INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE TABLE bases("
	"  python TEXT PRIMARY KEY,"
	"  env TEXT NOT NULL REFERENCES environments(name)"
	") WITHOUT ROWID;"
	"CREATE INDEX bases_by_env ON bases(env);"
	AQ_WORKFLOW_TABLE
	"CREATE INDEX workflows_by_key ON workflows(key);"
	"CREATE TABLE counts("
	"  name TEXT PRIMARY KEY, n INTEGER NOT NULL, first INTEGER NOT NULL"
	") WITHOUT ROWID;",
};

const struct aq_db_kind aq_store_kind = {
	.application_id = 0x41516331,
	.migrations = migrations,
	.version = ARRAY_LEN(migrations),
	.is_durable = true,
	.examine = aq_store_examine_envs,
};
