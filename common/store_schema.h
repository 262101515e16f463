/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AQ_STORE_SCHEMA_H
#define AQ_STORE_SCHEMA_H

#include "common/db.h"

/* cache.db: its application id ("AQc1") and the steps of its schema. */
extern const struct aq_db_kind aq_store_kind;

#endif
