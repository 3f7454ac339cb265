/* SPDX-License-Identifier: ISC */
#include "cache/redis_error.h"

#include <stddef.h>
#include <string.h>

static const struct known {
	const char *begins;		/* of the text */
	enum redis_error is;
	const char *mend;
} known[] = {
	{ "OOM ", REDIS_ERROR_REFUSES,
	  "give Redis more memory (maxmemory), or take out of it what is not needed" },
	{ "MISCONF ", REDIS_ERROR_REFUSES,
	  "Redis cannot save to its disk: see its log, make room or mend its permissions" },
	{ "READONLY ", REDIS_ERROR_REFUSES,
	  "this Redis is a replica: name the master in redis/address, or use redis/sentinel" },
	{ "NOREPLICAS ", REDIS_ERROR_REFUSES,
	  "too few replicas are well: bring them back, or lower min-replicas-to-write" },
	{ "MASTERDOWN ", REDIS_ERROR_REFUSES,
	  "this Redis is a replica without its master: bring the master back" },
	{ "LOADING ", REDIS_ERROR_REFUSES, "wait: Redis is reading its data" },
	{ "BUSY ", REDIS_ERROR_REFUSES, "a script holds Redis up: SCRIPT KILL ends it" },
	{ "CLUSTERDOWN ", REDIS_ERROR_REFUSES, "use a Redis that is no cluster" },
	{ "CROSSSLOT ", REDIS_ERROR_REFUSES, "use a Redis that is no cluster" },
	{ "MOVED ", REDIS_ERROR_REFUSES, "use a Redis that is no cluster" },
	{ "ASK ", REDIS_ERROR_REFUSES, "use a Redis that is no cluster" },
	{ "NOPERM ", REDIS_ERROR_DENIES,
	  "give the user the rights that understudy.conf(5) lists under ACCESS TO REDIS" },
	{ "NOAUTH ", REDIS_ERROR_DENIES, "set redis/username and redis/password" },
	{ "WRONGPASS ", REDIS_ERROR_DENIES,
	  "correct redis/username and redis/password, or the user in Redis" },
	{ "ERR invalid password", REDIS_ERROR_DENIES, "correct redis/password" },
	{ "ERR AUTH ", REDIS_ERROR_DENIES, "Redis has no password set: set one, or take out ours" },
	{ "ERR Client sent AUTH", REDIS_ERROR_DENIES,
	  "Redis has no password set: set one, or take out ours" },
	{ "Redis does not take our AUTH", REDIS_ERROR_OTHER,
	  "see whether Redis knows AUTH (rename-command), and redis/username and redis/password" },
	{ "ERR max number of clients", REDIS_ERROR_OTHER, "raise maxclients of Redis" },
	{ "the sentinels name another master", REDIS_ERROR_OTHER, "nothing: we go there" },
	{ "Sentinel names the master by a host name", REDIS_ERROR_OTHER,
	  "a name might have to be resolved by us: set 'sentinel resolve-hostnames no' and "
	  "'sentinel announce-hostnames no', and let servers announce IP addresses" },
	{ "sentinel ", REDIS_ERROR_OTHER, "start the sentinels, or correct redis/sentinel" },
	{ "whom the sentinels name is no master", REDIS_ERROR_OTHER,
	  "wait for the failover to end; if it does not, see the sentinels' log" },
	{ "TLS: ", REDIS_ERROR_OTHER,
	  "see redis/tls-ca, tls-name, tls-cert and tls-key, and the certificate of Redis" },
	{ "DENIED ", REDIS_ERROR_OTHER, "Redis is in protected mode: give it a password" },
	{ "-DENIED ", REDIS_ERROR_OTHER, "Redis is in protected mode: give it a password" },
	{ "Server closed the connection", REDIS_ERROR_OTHER, "see the log of Redis for why it ended" },
	{ "Connection reset by peer", REDIS_ERROR_OTHER, "see the log of Redis for why it ended" },
	{ "Broken pipe", REDIS_ERROR_OTHER, "see the log of Redis for why it ended" },
	{ "the connection ended", REDIS_ERROR_OTHER, "see the log of Redis for why it ended" },
	{ "Connection refused", REDIS_ERROR_OTHER, "start Redis, or correct its address" },
	{ "No such file or directory", REDIS_ERROR_OTHER, "start Redis, or correct its address" },
	{ "Permission denied", REDIS_ERROR_OTHER,
	  "let our user open the socket of Redis (unixsocketperm, its group)" },
	{ "Redis did not reply in time", REDIS_ERROR_OTHER,
	  "see why Redis is slow or frozen, or raise redis/command-timeout" },
	{ "connecting to Redis took too long", REDIS_ERROR_OTHER,
	  "see whether Redis can be reached, or raise redis/connect-timeout" },
	{ "connecting to Redis with TLS took too long", REDIS_ERROR_OTHER,
	  "see whether Redis can be reached and speaks TLS there (tls-port), or raise "
	  "redis/connect-timeout" },
	{ "Redis sent a reply", REDIS_ERROR_OTHER, "see whether it is Redis that answers there" },
	{ "Protocol error", REDIS_ERROR_OTHER, "see whether it is Redis that answers there" },
	{ "what answers is not Redis", REDIS_ERROR_OTHER, "correct the address of Redis" },
};

static const char ABORTED[] = "EXECABORT Transaction discarded because of: ";

/* What EXEC says of why it was refused. */
static const char *cause_of(const char *text)
{
	return strncmp(text, ABORTED, sizeof(ABORTED) - 1) == 0 ? text + sizeof(ABORTED) - 1 : text;
}

static const struct known *find(const char *text)
{
	text = cause_of(text);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strncmp(text, known[i].begins, strlen(known[i].begins)) == 0)
			return &known[i];
	return NULL;
}

enum redis_error redis_error_of(const char *text)
{
	const struct known *k = find(text);

	return k ? k->is : REDIS_ERROR_OTHER;
}

bool redis_error_is_demotion(const char *text)
{
	text = cause_of(text);
	return strncmp(text, "READONLY ", 9) == 0 || strncmp(text, "MASTERDOWN ", 11) == 0;
}

const char *redis_error_mend(const char *text)
{
	const struct known *k = find(text);

	return k ? k->mend : NULL;
}
