/* SPDX-License-Identifier: ISC */
#include "cache/store_settings.h"

#include <stdio.h>
#include <string.h>

static bool is_name(const char *line, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(line, name, len) == 0;
}

static void read_pair(struct store_settings *s, const char *line, size_t name_len,
		      const char *value, size_t len)
{
	bool is_one = len == 1 && value[0] == '1';

	if (is_name(line, name_len, "maxmemory_policy") && len < sizeof(s->policy))
		snprintf(s->policy, sizeof(s->policy), "%.*s", (int)len, value);
	else if (is_name(line, name_len, "cluster_enabled"))
		s->is_cluster = is_one;
	else if (is_name(line, name_len, "aof_enabled"))
		s->has_aof = true, s->is_aof = is_one;
	else if (is_name(line, name_len, "role"))
		s->is_replica = is_name(value, len, "slave");
	else if (is_name(line, name_len, "slave_read_only"))
		s->is_writable = !is_one;
}

void settings_read_info(struct store_settings *s, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		const char *next = stop ? stop + 1 : end;
		const char *colon;

		stop = stop ? stop : end;
		if (stop > text && stop[-1] == '\r')
			stop--;
		colon = memchr(text, ':', (size_t)(stop - text));
		if (colon)
			read_pair(s, text, (size_t)(colon - text), colon + 1,
				  (size_t)(stop - colon - 1));
		text = next;
	}
}

void settings_read_config(struct store_settings *s, const char *name, const char *value)
{
	if (strcmp(name, "save") != 0)
		return;
	s->has_save = true;
	snprintf(s->save, sizeof(s->save), "%s", value);
}

/*
 * Of our keys only leases and staged bases have a life span: what the volatile- policies take
 * costs a second try, no zone.
 */
static bool is_evicting(const struct store_settings *s)
{
	return strncmp(s->policy, "allkeys-", 8) == 0;
}

bool settings_judge(const struct store_settings *s, enum store_setting setting,
		    struct store_finding *f)
{
	f->setting = setting;
	switch (setting) {
	case SETTING_EVICTION:
		f->name = "maxmemory-policy";
		f->value = s->policy;
		f->reason = "when its memory is full, Redis takes parts of zones away";
		f->mend = "CONFIG SET maxmemory-policy noeviction, and in redis.conf";
		return is_evicting(s);
	case SETTING_PERSISTENCE:
		f->name = "save";
		f->value = s->has_save && !s->save[0] ? "\"\", and appendonly is no" : s->save;
		f->reason = "a restart of Redis loses all zones";
		f->mend = "CONFIG SET appendonly yes, and in redis.conf";
		return s->has_save && !s->save[0] && s->has_aof && !s->is_aof;
	case SETTING_CLUSTER:
		f->name = "cluster-enabled";
		f->value = s->is_cluster ? "yes" : "no";
		f->reason = "what we write as one lies in several slots: no commit will stand";
		f->mend = "use a Redis that is no cluster; Sentinel makes it fail over";
		return s->is_cluster;
	case SETTING_REPLICA:
		f->name = "replica-read-only";
		f->value = s->is_writable ? "no" : "yes";
		f->reason = "this Redis is a replica, and forgets what we write with its next sync";
		f->mend = "name the master in redis/address, or use redis/sentinel";
		return s->is_replica && s->is_writable;
	case SETTING_COUNT:
		break;
	}
	return false;
}
