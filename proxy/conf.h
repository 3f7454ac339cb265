/* SPDX-License-Identifier: ISC */
/*
 * conf - the configuration file, read once into a structure that never changes.
 *
 * Purpose:  one table of options (name, type, range, default, sentence) drives libconfuse,
 *           the checks, the error messages and the manual page's test.
 * Not here: runtime state of any kind (plan.h, backend.h, health.h). The parts: conf_table.c
 *           (the options), conf_lex.c and conf_scan.c (files to one flat text), conf.c
 *           (libconfuse's tree to structs), conf_value.c (texts to values), conf_check.c (what
 *           must fit together), conf_reload.c (what may change), conf_guess.c (slips of the
 *           pen), conf_report.c (errors), conf_life.c (its use and end).
 * Owns:     everything it points to; conf_free() ends it.
 * Threads:  immutable after conf_read(); read by all.
 * Failure:  every error found is printed as FILE:LINE: what is wrong, and the mend.
 * Time:     microseconds in `_us` fields.
 */
#ifndef CONF_H
#define CONF_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cache/address.h"
#include "cache/cookie.h"
#include "cache/edns.h"
#include "cache/event.h"
#include "cache/name.h"
#include "cache/redis.h"
#include "cache/review.h"
#include "cache/stream.h"
#include "cache/tls_profile.h"
#include "cache/tsig.h"
#include "cache/turns.h"
#include "proxy/conf_allow.h"
#include "proxy/conf_names.h"

enum {
	CONF_LISTEN_MAX = 32,
	CONF_INTERFACES_MAX = 8,
	CONF_POOLS_MAX = 64,
	CONF_TARGETS_MAX = 128,		/* in one pool */
	CONF_NAME_MAX = 64,		/* of a pool, backend; with NUL */
	CONF_PATH_MAX = 256,
	CONF_TIERS_MAX = 16,
	CONF_CATALOGS_MAX = 64,
	CONF_GROUPS_MAX = 64,		/* of one catalog */
	CONF_BACKENDS_MAX = 512,	/* in all pools: at a reload old and new must both fit */
};

/* Where something stands; line 1 of the file for what stands nowhere. */
struct conf_where {
	const char *file;	/* as it was named; owned by the struct conf */
	int line;
};

enum conf_policy {
	POLICY_ORDERED, POLICY_ROUND_ROBIN, POLICY_WEIGHTED_RANDOM, POLICY_LEAST_OUTSTANDING,
	POLICY_P2C_LATENCY, POLICY_CONSISTENT_HASH,
};

/* Replies that count as failed attempts for a mirrored zone: bits of retry-on. */
enum conf_retry {
	RETRY_SERVFAIL = 1 << 0, RETRY_REFUSED = 1 << 1, RETRY_NOTAUTH = 1 << 2,
	RETRY_LAME = 1 << 3, RETRY_DENIED = 1 << 4,
};

/* What follows when a primary says that a zone has changed. */
enum conf_notify { NOTIFY_CONSUME, NOTIFY_REPEAT };

enum conf_rrset_order { RRSET_FIXED, RRSET_ROTATE };

/* Text, or bytes that were written in hexadecimal. */
struct conf_bytes {
	uint8_t len;
	uint8_t bytes[EDNS_NSID_MAX];
};

/* What happens to a zone whose primary returns with data that look wrong. */
enum conf_regress { REGRESS_AS_POOL, REGRESS_HOLD, REGRESS_ACCEPT_AFTER, REGRESS_ACCEPT };

struct conf_regression {
	enum conf_regress policy;
	uint64_t after_us;		/* with REGRESS_ACCEPT_AFTER */
};

/* What happens to a mirrored zone that no primary confirms for as long as its SOA allows. */
enum conf_expire { EXPIRE_AS_POOL, EXPIRE_STRICT, EXPIRE_GRACE };

enum { CONF_KEEP_AS_POOL = 1000 };	/* more than may be written */

struct conf_health {
	uint64_t interval_us;		/* between UDP probes; TCP: ten times that */
	uint64_t timeout_us;
	unsigned rise, fall;
	uint64_t slow_start_us;		/* in PROBATION the share grows over this time */
};

enum conf_target_kind { TARGET_BACKEND, TARGET_MIRROR };

struct conf_target {
	enum conf_target_kind kind;
	char name[CONF_NAME_MAX];	/* "mirror" for the mirror */
	struct address address;		/* backends only */
	unsigned tier, weight;		/* weight >= 1 */
	bool is_primary;		/* zones are transferred from it */
	const struct tsig_key *key;	/* for transfers, or NULL */
	struct address transfer_address;	/* that zones are transferred from */
	bool has_transfer_tls;
	struct tls_settings tls_settings;
	struct tls_profile *tls;	/* made of them; NULL: transfers in clear text */
	unsigned max_outstanding;	/* queries on their way to it, for each worker */
	struct conf_where where;
};

struct conf_pool {
	char name[CONF_NAME_MAX];
	enum conf_policy policy;
	unsigned retry_on;		/* enum conf_retry bits */
	uint64_t attempt_max_us;	/* cap of an attempt's deadline: 150 ms */
	uint64_t give_up_us;		/* SERVFAIL after this: 700 ms */
	bool has_adaptive_limit;	/* how much a backend can take is found out */
	enum conf_notify notify;
	unsigned shadow_check;		/* percent of answers compared with the mirror's */
	struct conf_health health;
	struct conf_regression on_regression;	/* never REGRESS_AS_POOL */
	uint64_t transfer_timeout_us;
	struct stream_limits transfer_limits;
	unsigned keep;			/* older generations for rollback */
	enum conf_expire expire;	/* never EXPIRE_AS_POOL */
	uint64_t grace_us;		/* with EXPIRE_GRACE */
	struct conf_target *targets;	/* in the order of the file */
	size_t target_count;
	bool has_mirror;
	struct conf_where where;
};

struct conf_zone {
	char *text;			/* its origin, as an operator writes it */
	const uint8_t *origin;		/* the same on the wire, lower case; behind `text` */
	const struct conf_pool *pool;
	size_t max_records, max_bytes;	/* of a transfer */
	unsigned max_rrset;		/* records of one RRset in it */
	struct conf_allow_list own_allow_transfer;	/* as its section has it */
	const struct conf_allow_list *allow_transfer;	/* that, or the root's when it has none */
	struct conf_regression on_regression;	/* see conf_regression_of() */
	unsigned keep;			/* see conf_keep_of() */
	enum conf_expire expire;	/* see conf_grace_of() */
	uint64_t grace_us;		/* 0: as the pool */
	struct review_rules review;	/* 0 where nothing is said: see conf_review_of() */
	struct conf_where where;
};

/* Members with this property have another pool. */
struct conf_group {
	char *name;			/* as the catalog has it */
	const struct conf_pool *pool;
	struct conf_where where;
};

/* A catalog zone, whose members are zones as if they stood here: RFC 9432. */
struct conf_catalog {
	struct conf_zone zone;		/* the catalog itself, transferred from the primaries of its pool */
	struct conf_zone member;	/* what holds for each member; without a name */
	const struct conf_pool *from;	/* as it is written; NULL: the members' pool */
	struct conf_group *groups;	/* in the order of the file: the first that fits counts */
	size_t group_count;
	struct conf_names suffixes;	/* members lie at or below one; none: see members.h */
	size_t max_members;
	unsigned max_removed;		/* percent that one version may remove */
	struct conf_where where;
};

struct conf_interfaces {
	char name[CONF_INTERFACES_MAX][IFNAMSIZ];
	size_t count;
};

struct conf {
	unsigned references;		/* conf_hold(), conf_free(); control only */
	char file[CONF_PATH_MAX];
	struct address listen[CONF_LISTEN_MAX];
	size_t listen_count;
	struct conf_interfaces listen_xdp;
	unsigned workers;		/* at least 1: 0 in the file is resolved */
	uint64_t busy_poll_us;		/* they sleep no sooner after a packet */
	char control[108];		/* path of the control socket */
	char state_dir[CONF_PATH_MAX];
	char log[CONF_PATH_MAX];	/* "stderr", "syslog" or a file */
	enum event_style log_style;
	enum event_level log_level;

	unsigned in_flight;		/* queries on their way, for each worker */
	unsigned tcp_connections;	/* clients', for each worker */
	unsigned tcp_per_client;	/* from one address */
	unsigned tcp_pipeline;		/* queries in flight on one connection */
	uint64_t tcp_idle_us;		/* nothing asked, nothing owed */
	uint64_t tcp_message_us;	/* a message once begun must be whole */

	/* What the answers of our own say beside data. */
	struct conf_bytes nsid;			/* `len` 0: none */
	char identity[256], version[256];	/* of class CHAOS; "": not answered by us */
	struct cookie_secrets cookie_secrets;	/* `count` 0: a random one */
	enum conf_rrset_order rrset_order;

	struct turns_limits transfers;	/* at the same time */

	bool has_redis;
	struct redis_conf redis;
	char redis_prefix[64];

	struct tsig_key *keys;
	size_t key_count;
	struct conf_pool *pools;
	size_t pool_count;
	struct conf_zone *zones;
	size_t zone_count;
	struct conf_catalog *catalogs;
	size_t catalog_count;
	const struct conf_pool *forward_unlisted;	/* NULL: such names are refused */
	struct conf_allow_list allow_transfer;	/* of zones that say nothing */
	struct review_rules review;		/* likewise; max_shrink may be 0 */

	char **files;			/* the file, then what it includes; for conf_where */
	size_t file_count;
	struct conf_where *places;	/* of the options outside keys, pools and zones, by row */
};

/*
 * Reads and checks `file`. NULL when anything is wrong: each error is one line on `errors`
 * ("understudy.conf:12: unknown option 'polcy': did you mean 'policy'?"), all of them in one
 * run where possible.
 */
struct conf *conf_read(const char *file, FILE *errors);
void conf_free(struct conf *c);		/* after as many as it was held; NULL is fine */

/* One more plan is made from it. */
void conf_hold(struct conf *c);

/*
 * What cannot change while we run: prints FILE:LINE: for each such option that differs and
 * returns false.
 */
bool conf_can_replace(const struct conf *old, const struct conf *new, FILE *errors);

/* The option table as text, one line each: "pool/health/rise\tnumber\t1..100\t3\tsentence". */
void conf_print_options(FILE *out);

/* Gives the zone its name; it is freed with `text`. */
void conf_zone_name(struct conf_zone *z, const uint8_t *origin);

/* The zone's own, or its pool's. */
const struct conf_regression *conf_regression_of(const struct conf_zone *z);
unsigned conf_keep_of(const struct conf_zone *z);

/* How long it is served past its SOA expire, in microseconds; 0: not at all. */
uint64_t conf_grace_of(const struct conf_zone *z);
/*
 * The zone's own where it says so, else what holds for all. Fills in the whole of `rules`, whose
 * program is the configuration's.
 */
void conf_review_of(const struct conf *c, const struct conf_zone *z, struct review_rules *rules);

const char *conf_policy_text(enum conf_policy p);

#endif
