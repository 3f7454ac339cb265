/* SPDX-License-Identifier: ISC */
/*
 * store_settings - settings of Redis with which a replica of zones is not safe.
 *
 * Purpose:  reads what INFO and CONFIG GET say, and names what is dangerous, why, and the mend.
 * Not here: asking (store_check.c), telling the operator (mirror_thread.c).
 * Threads:  any; nothing is kept.
 * Failure:  what Redis does not show us is unknown, and nobody is alarmed for it.
 */
#ifndef STORE_SETTINGS_H
#define STORE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

enum store_setting {
	SETTING_EVICTION,	/* takes parts out of zones when memory is short */
	SETTING_PERSISTENCE,	/* a restart of Redis loses everything */
	SETTING_CLUSTER,	/* our transactions span slots */
	SETTING_REPLICA,	/* a replica that may be written to forgets what was written */
	SETTING_COUNT,
};

struct store_settings {
	char policy[32];	/* maxmemory-policy; empty: unknown */
	char save[128];
	bool has_save, has_aof;	/* known */
	bool is_aof, is_cluster, is_replica, is_writable;
};

/* What is wrong with one setting. All constants but `value`, which lives in the settings. */
struct store_finding {
	enum store_setting setting;
	const char *name, *value, *reason, *mend;
};

/* Reads the text of INFO: lines of name:value. */
void settings_read_info(struct store_settings *s, const char *text, size_t len);

/* Reads one pair of CONFIG GET. */
void settings_read_config(struct store_settings *s, const char *name, const char *value);

/* Fills in `f` either way; true when the setting is dangerous. */
bool settings_judge(const struct store_settings *s, enum store_setting setting,
		    struct store_finding *f);

#endif
