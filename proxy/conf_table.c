/* SPDX-License-Identifier: ISC */
#include "proxy/conf_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/mirror.h"
#include "cache/zone.h"
#include "proxy/conf.h"

const struct conf_section_row conf_sections[SECTION_COUNT] = {
	[SECTION_ROOT]    = { "",             "",        SECTION_NONE, false, true },
	[SECTION_REDIS]   = { "redis",        "redis",   SECTION_ROOT, false, true },
	[SECTION_SENTINEL] = { "redis/sentinel", "sentinel", SECTION_REDIS, false, true },
	[SECTION_KEY]     = { "key",          "key",     SECTION_ROOT, true, false },
	[SECTION_POOL]    = { "pool",         "pool",    SECTION_ROOT, true, false },
	[SECTION_BACKEND] = { "pool/backend", "backend", SECTION_POOL, true, false },
	[SECTION_MIRROR]  = { "pool/mirror",  "mirror",  SECTION_POOL, false, true },
	[SECTION_HEALTH]  = { "pool/health",  "health",  SECTION_POOL, false, true },
	[SECTION_ZONE]    = { "zone",         "zone",    SECTION_ROOT, true, false },
	[SECTION_CATALOG] = { "catalog",       "catalog", SECTION_ROOT, true, false },
	[SECTION_GROUP]   = { "catalog/group", "group",   SECTION_CATALOG, true, false },
};

static const struct conf_word policy_words[] = {
	{ "ordered", POLICY_ORDERED }, { "round-robin", POLICY_ROUND_ROBIN },
	{ "weighted-random", POLICY_WEIGHTED_RANDOM },
	{ "least-outstanding", POLICY_LEAST_OUTSTANDING },
	{ "p2c-latency", POLICY_P2C_LATENCY }, { "consistent-hash", POLICY_CONSISTENT_HASH },
	{ NULL, 0 }
};

static const struct conf_word retry_words[] = {
	{ "servfail", RETRY_SERVFAIL }, { "refused", RETRY_REFUSED },
	{ "notauth", RETRY_NOTAUTH }, { "lame", RETRY_LAME },
	{ "denied", RETRY_DENIED }, { NULL, 0 }
};

static const struct conf_word notify_words[] = {
	{ "consume", NOTIFY_CONSUME }, { "repeat", NOTIFY_REPEAT }, { NULL, 0 }
};

static const struct conf_word order_words[] = {
	{ "fixed", RRSET_FIXED }, { "rotate", RRSET_ROTATE }, { NULL, 0 }
};

static const struct conf_word expire_words[] = {
	{ "strict", EXPIRE_STRICT }, { "grace", EXPIRE_GRACE }, { NULL, 0 }
};

static const struct conf_word zonemd_words[] = {
	{ "off", REVIEW_ZONEMD_OFF }, { "if-present", REVIEW_ZONEMD_IF_PRESENT },
	{ "require", REVIEW_ZONEMD_REQUIRE }, { NULL, 0 }
};

static const struct conf_word style_words[] = {
	{ "logfmt", EVENT_LOGFMT }, { "json", EVENT_JSON }, { NULL, 0 }
};

static const struct conf_word level_words[] = {
	{ "error", EVENT_ERROR }, { "warning", EVENT_WARNING }, { "notice", EVENT_NOTICE },
	{ "info", EVENT_INFO }, { "debug", EVENT_DEBUG }, { NULL, 0 }
};

#define FIELD(type, field)	offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define MS(n)			((n) * US_PER_MS)
#define S(n)			((n) * US_PER_S)
#define KIB			((uint64_t)1 << 10)
#define MIB			((uint64_t)1 << 20)
#define GIB			((uint64_t)1 << 30)

const struct conf_row conf_rows[] = {
	{ SECTION_ROOT, "listen", CONF_LISTEN, 53, 0, "0.0.0.0:53, [::]:53",
	  CONF_RELOAD | CONF_LIST, FIELD(conf, listen), NULL,
	  "addresses that clients ask, over UDP and TCP" },
	{ SECTION_ROOT, "listen-xdp", CONF_INTERFACES, 0, 0, NULL, CONF_LIST,
	  FIELD(conf, listen_xdp), NULL,
	  "interfaces whose queries are taken by AF_XDP, past most of the kernel" },
	{ SECTION_ROOT, "workers", CONF_NUMBER, 0, 64, "0", 0,
	  FIELD(conf, workers), NULL, "threads that answer; 0 is one for each CPU" },
	{ SECTION_ROOT, "busy-poll", CONF_DURATION, 0, MS(10), "0s", CONF_RELOAD,
	  FIELD(conf, busy_poll_us), NULL,
	  "a worker looks for packets this long before it sleeps; 0s: it sleeps at once" },
	{ SECTION_ROOT, "control", CONF_TEXT, 1, 0, "/run/understudy/control.sock", 0,
	  FIELD(conf, control), NULL, "the socket that understudyctl talks to" },
	{ SECTION_ROOT, "state-dir", CONF_TEXT, 1, 0, "/var/lib/understudy", 0,
	  FIELD(conf, state_dir), NULL, "where snapshots of mirrored zones are kept" },
	{ SECTION_ROOT, "log", CONF_TEXT, 1, 0, "stderr", CONF_RELOAD,
	  FIELD(conf, log), NULL, "where events go: stderr, syslog or the path of a file" },
	{ SECTION_ROOT, "log-format", CONF_WORD, 0, 0, "logfmt", CONF_RELOAD,
	  FIELD(conf, log_style), style_words, "how an event is written" },
	{ SECTION_ROOT, "log-level", CONF_WORD, 0, 0, "info", CONF_RELOAD,
	  FIELD(conf, log_level), level_words, "the least important events that are written" },
	{ SECTION_ROOT, "in-flight", CONF_NUMBER, 64, 32768, "8192", 0,
	  FIELD(conf, in_flight), NULL, "queries that may wait for backends, for each worker" },
	{ SECTION_ROOT, "tcp-connections", CONF_NUMBER, 1, 65536, "4096", 0,
	  FIELD(conf, tcp_connections), NULL, "client connections, for each worker" },
	{ SECTION_ROOT, "tcp-per-client", CONF_NUMBER, 1, 65536, "256", CONF_RELOAD,
	  FIELD(conf, tcp_per_client), NULL,
	  "client connections from one address, for each worker" },
	{ SECTION_ROOT, "tcp-pipeline", CONF_NUMBER, 1, 1024, "128", CONF_RELOAD,
	  FIELD(conf, tcp_pipeline), NULL, "unanswered queries on one client connection" },
	{ SECTION_ROOT, "tcp-idle", CONF_DURATION, MS(100), S(600), "10s", CONF_RELOAD,
	  FIELD(conf, tcp_idle_us), NULL,
	  "a client connection that asks nothing is closed after this" },
	{ SECTION_ROOT, "tcp-message-timeout", CONF_DURATION, MS(100), S(60), "2s", CONF_RELOAD,
	  FIELD(conf, tcp_message_us), NULL,
	  "a query that has begun on TCP must be whole within this" },
	{ SECTION_ROOT, "forward-unlisted", CONF_POOL, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf, forward_unlisted), NULL,
	  "the pool that gets names of no zone; without it they are refused" },
	{ SECTION_ROOT, "nsid", CONF_BYTES, 0, 0, "", CONF_RELOAD,
	  FIELD(conf, nsid), NULL, "our name in NSID, as text or as 0x and hexadecimal digits" },
	{ SECTION_ROOT, "identity", CONF_TEXT, 0, 0, "", CONF_RELOAD,
	  FIELD(conf, identity), NULL, "our answer to id.server and hostname.bind, class CHAOS" },
	{ SECTION_ROOT, "version", CONF_TEXT, 0, 0, "", CONF_RELOAD,
	  FIELD(conf, version), NULL, "our answer to version.server and version.bind, class CHAOS" },
	{ SECTION_ROOT, "cookie-secret-file", CONF_COOKIE_FILE, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf, cookie_secrets), NULL,
	  "file of the secrets of DNS cookies, each a line of 32 hexadecimal digits" },
	{ SECTION_ROOT, "rrset-order", CONF_WORD, 0, 0, "fixed", CONF_RELOAD,
	  FIELD(conf, rrset_order), order_words, "the order of equal records in the mirror's answers" },
	{ SECTION_ROOT, "allow-transfer", CONF_ALLOW, 0, 0, NULL, CONF_RELOAD | CONF_LIST,
	  FIELD(conf, allow_transfer), NULL,
	  "who may transfer zones from us: prefixes, keys, or both in one" },
	{ SECTION_ROOT, "transfers", CONF_NUMBER, 1, 1024, "64", 0,
	  FIELD(conf, transfers.transfers), NULL, "zones that are transferred to us at the same time" },
	{ SECTION_ROOT, "transfers-per-primary", CONF_NUMBER, 1, 1024, "10", 0,
	  FIELD(conf, transfers.transfers_each), NULL,
	  "of these, those from one primary" },

	{ SECTION_ROOT, "max-shrink", CONF_NUMBER, 1, 100, NULL, CONF_RELOAD,
	  FIELD(conf, review.max_shrink), NULL,
	  "percent of a zone that a new version may lack without being refused" },
	{ SECTION_ROOT, "zonemd", CONF_WORD, 0, 0, "if-present", CONF_RELOAD,
	  FIELD(conf, review.zonemd), zonemd_words,
	  "whether new versions must have the digest they name" },
	{ SECTION_ROOT, "verify", CONF_PROGRAM, 0, 0, "off", CONF_RELOAD,
	  FIELD(conf, review.program), NULL,
	  "program that looks at each new version before it is served" },
	{ SECTION_ROOT, "verify-timeout", CONF_DURATION, MS(100), S(86400), "1m", CONF_RELOAD,
	  FIELD(conf, review.program_us), NULL, "the program must be done within this" },

	{ SECTION_REDIS, "address", CONF_REDIS_ADDRESS, 6379, 0, NULL, 0,
	  FIELD(conf, redis.address), NULL,
	  "Redis: an IP address or unix:PATH, never a host name" },
	{ SECTION_SENTINEL, "address", CONF_SENTINELS, 26379, 0, NULL, CONF_REQUIRED | CONF_LIST,
	  FIELD(conf, redis.sentinel), NULL, "addresses of the sentinels" },
	{ SECTION_SENTINEL, "master", CONF_TEXT, 1, 0, NULL, CONF_REQUIRED,
	  FIELD(conf, redis.sentinel.master), NULL, "name that the sentinels have for the master" },
	{ SECTION_SENTINEL, "username", CONF_TEXT, 0, 0, "", 0,
	  FIELD(conf, redis.sentinel.username), NULL, "user of the sentinels' access lists" },
	{ SECTION_SENTINEL, "password", CONF_TEXT, 0, 0, "", 0,
	  FIELD(conf, redis.sentinel.password), NULL, "password for the sentinels" },
	{ SECTION_SENTINEL, "password-file", CONF_TEXT_FILE, 0, 0, NULL, 0,
	  FIELD(conf, redis.sentinel.password), NULL, "file whose first line is the password" },
	{ SECTION_REDIS, "prefix", CONF_PREFIX, 0, 0, "understudy", 0,
	  FIELD(conf, redis_prefix), NULL, "what all our keys in Redis begin with" },
	{ SECTION_REDIS, "username", CONF_TEXT, 0, 0, "", 0,
	  FIELD(conf, redis.username), NULL, "user of Redis' access lists" },
	{ SECTION_REDIS, "password", CONF_TEXT, 0, 0, "", 0,
	  FIELD(conf, redis.password), NULL, "password for Redis" },
	{ SECTION_REDIS, "password-file", CONF_TEXT_FILE, 0, 0, NULL, 0,
	  FIELD(conf, redis.password), NULL, "file whose first line is the password" },
	{ SECTION_REDIS, "tls", CONF_BOOL, 0, 0, "false", 0,
	  FIELD(conf, redis.tls.is_on), NULL, "speak TLS with Redis and its sentinels" },
	{ SECTION_REDIS, "tls-ca", CONF_TEXT, 0, 0, "", 0,
	  FIELD(conf, redis.tls.ca), NULL, "PEM file of the authorities that may sign for Redis" },
	{ SECTION_REDIS, "tls-name", CONF_TEXT, 0, 0, "", 0,
	  FIELD(conf, redis.tls.name), NULL, "name or IP address in the certificate of Redis" },
	{ SECTION_REDIS, "tls-cert", CONF_TEXT, 0, 0, "", 0,
	  FIELD(conf, redis.tls.cert), NULL, "PEM file of our own certificate" },
	{ SECTION_REDIS, "tls-key", CONF_TEXT, 0, 0, "", 0,
	  FIELD(conf, redis.tls.key), NULL, "PEM file of its key" },
	{ SECTION_REDIS, "database", CONF_NUMBER, 0, 65535, "0", 0,
	  FIELD(conf, redis.database), NULL, "number of the Redis database" },
	{ SECTION_REDIS, "connect-timeout", CONF_DURATION, MS(10), S(60), "1s", 0,
	  FIELD(conf, redis.connect_ms), NULL, "a connection to Redis must stand within this" },
	{ SECTION_REDIS, "command-timeout", CONF_DURATION, MS(10), S(60), "2s", 0,
	  FIELD(conf, redis.command_ms), NULL, "Redis must reply to a command within this" },
	{ SECTION_REDIS, "queue-max", CONF_SIZE, 1 * MIB, 4 * GIB, "64M", 0,
	  FIELD(conf, redis.queue_max), NULL, "bytes that may wait for Redis to reply" },

	{ SECTION_KEY, "algorithm", CONF_ALGORITHM, 0, 0, "hmac-sha256", CONF_RELOAD,
	  FIELD(tsig_key, algorithm), NULL, "of the signature" },
	{ SECTION_KEY, "secret", CONF_SECRET, 0, 0, NULL, CONF_RELOAD,
	  FIELD(tsig_key, secret), NULL, "the shared secret, in base64" },
	{ SECTION_KEY, "secret-file", CONF_SECRET_FILE, 0, 0, NULL, CONF_RELOAD,
	  FIELD(tsig_key, secret), NULL, "file whose first line is the secret, in base64" },

	{ SECTION_POOL, "policy", CONF_WORD, 0, 0, "ordered", CONF_RELOAD,
	  FIELD(conf_pool, policy), policy_words, "how a target is chosen inside a tier" },
	{ SECTION_POOL, "retry-on", CONF_WORDS, 0, 0, "servfail, refused, notauth, lame, denied",
	  CONF_RELOAD | CONF_LIST, FIELD(conf_pool, retry_on), retry_words,
	  "replies for a mirrored zone that are failed attempts" },
	{ SECTION_POOL, "attempt-max", CONF_DURATION, MS(5), S(5), "150ms", CONF_RELOAD,
	  FIELD(conf_pool, attempt_max_us), NULL, "the longest that one attempt may take" },
	{ SECTION_POOL, "give-up", CONF_DURATION, MS(50), S(5), "700ms", CONF_RELOAD,
	  FIELD(conf_pool, give_up_us), NULL,
	  "a query without any answer gets SERVFAIL after this" },
	{ SECTION_POOL, "adaptive-limit", CONF_BOOL, 0, 0, "true", CONF_RELOAD,
	  FIELD(conf_pool, has_adaptive_limit), NULL,
	  "what an overloaded backend cannot take goes to others" },
	{ SECTION_POOL, "shadow-check", CONF_NUMBER, 0, 100, "1", CONF_RELOAD,
	  FIELD(conf_pool, shadow_check), NULL,
	  "percent of the answers of backends that are compared with the mirror's" },
	{ SECTION_POOL, "notify", CONF_WORD, 0, 0, "consume", CONF_RELOAD,
	  FIELD(conf_pool, notify), notify_words,
	  "a primary's NOTIFY is for the mirror alone, or sent on to the other backends, too" },
	{ SECTION_POOL, "on-regression", CONF_REGRESSION, S(1), S(30 * 86400), "hold", CONF_RELOAD,
	  FIELD(conf_pool, on_regression), NULL,
	  "a primary back with older or other data: hold, accept, or accept-after a duration" },
	{ SECTION_POOL, "transfer-timeout", CONF_DURATION, S(1), S(86400), "30m", CONF_RELOAD,
	  FIELD(conf_pool, transfer_timeout_us), NULL, "a transfer may take so long in all" },
	{ SECTION_POOL, "transfer-idle", CONF_DURATION, MS(100), S(3600), "15s", CONF_RELOAD,
	  FIELD(conf_pool, transfer_limits.idle_us), NULL,
	  "a primary that sends nothing for so long ends a transfer" },
	{ SECTION_POOL, "transfer-min-rate", CONF_SIZE, 0, 1 * GIB, "1k", CONF_RELOAD,
	  FIELD(conf_pool, transfer_limits.pace.min_rate), NULL,
	  "bytes a second that a primary must send; 0 is any" },
	{ SECTION_POOL, "transfer-min-rate-over", CONF_DURATION, MS(100), S(3600), "1m", CONF_RELOAD,
	  FIELD(conf_pool, transfer_limits.pace.span_us), NULL,
	  "the time over which transfer-min-rate is an average" },
	{ SECTION_POOL, "keep", CONF_NUMBER, 0, MIRROR_KEEP_MAX, "2", CONF_RELOAD,
	  FIELD(conf_pool, keep), NULL,
	  "older generations of each zone that stay in memory, for rollback" },
	{ SECTION_POOL, "expire", CONF_WORD, 0, 0, "strict", CONF_RELOAD,
	  FIELD(conf_pool, expire), expire_words,
	  "a mirrored zone past its SOA expire: not served, or served on for grace" },
	{ SECTION_POOL, "grace", CONF_DURATION, S(1), S((uint64_t)365 * 86400), "168h", CONF_RELOAD,
	  FIELD(conf_pool, grace_us), NULL,
	  "with expire = grace, how long a zone is served past its SOA expire" },

	{ SECTION_BACKEND, "address", CONF_ADDRESS, 53, 0, NULL, CONF_RELOAD | CONF_REQUIRED,
	  FIELD(conf_target, address), NULL, "IP address of the server, and its port" },
	{ SECTION_BACKEND, "tier", CONF_NUMBER, 0, CONF_TIERS_MAX - 1, "0", CONF_RELOAD,
	  FIELD(conf_target, tier), NULL, "lower tiers are tried first" },
	{ SECTION_BACKEND, "weight", CONF_NUMBER, 1, 1000, "1", CONF_RELOAD,
	  FIELD(conf_target, weight), NULL, "its share among the targets of its tier" },
	{ SECTION_BACKEND, "primary", CONF_BOOL, 0, 0, "false", CONF_RELOAD,
	  FIELD(conf_target, is_primary), NULL, "zones are transferred from it" },
	{ SECTION_BACKEND, "key", CONF_KEY, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_target, key), NULL, "the key that signs transfers from it" },
	{ SECTION_BACKEND, "transfer-address", CONF_ADDRESS, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_target, transfer_address), NULL,
	  "where zones are transferred from, if not from address" },
	{ SECTION_BACKEND, "transfer-tls", CONF_BOOL, 0, 0, "false", CONF_RELOAD,
	  FIELD(conf_target, has_transfer_tls), NULL, "transfers go through TLS, and never without" },
	{ SECTION_BACKEND, "tls-name", CONF_TLS_NAME, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_target, tls_settings.name), NULL, "the name that its certificate has to have" },
	{ SECTION_BACKEND, "tls-ca", CONF_TLS_FILE, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_target, tls_settings.ca), NULL,
	  "PEM file of who may sign that certificate; without it the system's authorities" },
	{ SECTION_BACKEND, "tls-pin", CONF_PIN, 0, 0, NULL, CONF_RELOAD | CONF_LIST,
	  FIELD(conf_target, tls_settings.pins), NULL,
	  "SHA-256 of its public key, in base64; one of those in the list" },
	{ SECTION_BACKEND, "tls-require-alpn", CONF_BOOL, 0, 0, "true", CONF_RELOAD,
	  FIELD(conf_target, tls_settings.needs_alpn), NULL, "it has to say that it speaks DNS" },
	{ SECTION_BACKEND, "tls-cert", CONF_TLS_FILE, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_target, tls_settings.cert), NULL,
	  "PEM file of our own certificate, where it asks for one" },
	{ SECTION_BACKEND, "tls-key", CONF_TLS_FILE, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_target, tls_settings.key), NULL, "PEM file of the key of tls-cert" },
	{ SECTION_BACKEND, "max-outstanding", CONF_NUMBER, 1, 32768, "4096", CONF_RELOAD,
	  FIELD(conf_target, max_outstanding), NULL,
	  "queries that may wait for it, for each worker" },

	{ SECTION_MIRROR, "tier", CONF_NUMBER, 0, CONF_TIERS_MAX - 1, "1", CONF_RELOAD,
	  FIELD(conf_target, tier), NULL, "lower tiers are tried first" },
	{ SECTION_MIRROR, "weight", CONF_NUMBER, 1, 1000, "1", CONF_RELOAD,
	  FIELD(conf_target, weight), NULL, "its share among the targets of its tier" },

	{ SECTION_HEALTH, "interval", CONF_DURATION, MS(100), S(3600), "1s", CONF_RELOAD,
	  FIELD(conf_pool, health.interval_us), NULL,
	  "between two probes over UDP; over TCP ten times that" },
	{ SECTION_HEALTH, "timeout", CONF_DURATION, MS(10), S(60), "500ms", CONF_RELOAD,
	  FIELD(conf_pool, health.timeout_us), NULL,
	  "a probe without reply is bad after this; not over interval" },
	{ SECTION_HEALTH, "rise", CONF_NUMBER, 1, 100, "3", CONF_RELOAD,
	  FIELD(conf_pool, health.rise), NULL, "good probes in a row that bring a backend back" },
	{ SECTION_HEALTH, "fall", CONF_NUMBER, 1, 100, "2", CONF_RELOAD,
	  FIELD(conf_pool, health.fall), NULL, "bad probes in a row that take a backend down" },
	{ SECTION_HEALTH, "slow-start", CONF_DURATION, 0, S(3600), "3s", CONF_RELOAD,
	  FIELD(conf_pool, health.slow_start_us), NULL,
	  "a backend that is back gets its full share after this" },

	{ SECTION_ZONE, "pool", CONF_POOL, 0, 0, NULL, CONF_RELOAD | CONF_REQUIRED,
	  FIELD(conf_zone, pool), NULL, "the pool that answers for the zone" },
	{ SECTION_ZONE, "max-records", CONF_NUMBER, 1, 1000000000, "50000000", CONF_RELOAD,
	  FIELD(conf_zone, max_records), NULL, "a transfer of more records than this is refused" },
	{ SECTION_ZONE, "max-size", CONF_SIZE, 64 * KIB, 1024 * GIB, "4G", CONF_RELOAD,
	  FIELD(conf_zone, max_bytes), NULL, "a transfer of more bytes than this is refused" },
	{ SECTION_ZONE, "max-rrset", CONF_NUMBER, 1, ZONE_RRSET_RECORDS_MAX, "4096", CONF_RELOAD,
	  FIELD(conf_zone, max_rrset), NULL,
	  "a transfer with more records than this of one name and type is refused" },
	{ SECTION_ZONE, "allow-transfer", CONF_ALLOW, 0, 0, NULL, CONF_RELOAD | CONF_LIST,
	  FIELD(conf_zone, own_allow_transfer), NULL,
	  "who may transfer this zone from us, whatever holds for the others" },
	{ SECTION_ZONE, "on-regression", CONF_REGRESSION, S(1), S(30 * 86400), NULL, CONF_RELOAD,
	  FIELD(conf_zone, on_regression), NULL, "for this zone; without it as the pool says" },
	{ SECTION_ZONE, "keep", CONF_NUMBER, 0, MIRROR_KEEP_MAX, NULL, CONF_RELOAD,
	  FIELD(conf_zone, keep), NULL, "for this zone; without it as the pool says" },
	{ SECTION_ZONE, "expire", CONF_WORD, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_zone, expire), expire_words, "for this zone; without it as the pool says" },
	{ SECTION_ZONE, "grace", CONF_DURATION, S(1), S((uint64_t)365 * 86400), NULL, CONF_RELOAD,
	  FIELD(conf_zone, grace_us), NULL, "for this zone; without it as the pool says" },
	{ SECTION_ZONE, "max-shrink", CONF_NUMBER, 1, 100, NULL, CONF_RELOAD,
	  FIELD(conf_zone, review.max_shrink), NULL,
	  "percent of this zone that a new version may lack without being refused" },
	{ SECTION_ZONE, "zonemd", CONF_WORD, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_zone, review.zonemd), zonemd_words, "for this zone, whatever holds for the others" },
	{ SECTION_ZONE, "verify", CONF_PROGRAM, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_zone, review.program), NULL, "for this zone, whatever holds for the others" },
	{ SECTION_ZONE, "verify-timeout", CONF_DURATION, MS(100), S(86400), NULL, CONF_RELOAD,
	  FIELD(conf_zone, review.program_us), NULL, "for this zone, whatever holds for the others" },

	{ SECTION_CATALOG, "pool", CONF_POOL, 0, 0, NULL, CONF_RELOAD | CONF_REQUIRED,
	  FIELD(conf_catalog, member.pool), NULL, "the pool that answers for its members" },
	{ SECTION_CATALOG, "from", CONF_POOL, 0, 0, NULL, CONF_RELOAD,
	  FIELD(conf_catalog, from), NULL,
	  "the pool whose primaries have the catalog; without it that of the members" },
	{ SECTION_CATALOG, "member-suffixes", CONF_NAMES, 0, 0, NULL, CONF_RELOAD | CONF_LIST,
	  FIELD(conf_catalog, suffixes), NULL,
	  "members must lie at or below one of these; without it any name of two labels will do" },
	{ SECTION_CATALOG, "max-members", CONF_NUMBER, 1, 10000000, "100000", CONF_RELOAD,
	  FIELD(conf_catalog, max_members), NULL,
	  "a version of the catalog with more members than this is refused" },
	{ SECTION_CATALOG, "max-removed", CONF_NUMBER, 0, 100, "20", CONF_RELOAD,
	  FIELD(conf_catalog, max_removed), NULL,
	  "percent of the members that one version may remove; what removes more waits for accept" },
	{ SECTION_CATALOG, "allow-catalog-transfer", CONF_ALLOW, 0, 0, NULL, CONF_RELOAD | CONF_LIST,
	  FIELD(conf_catalog, zone.own_allow_transfer), NULL,
	  "who may transfer the catalog itself from us; nobody without it" },
	{ SECTION_CATALOG, "allow-transfer", CONF_ALLOW, 0, 0, NULL, CONF_RELOAD | CONF_LIST,
	  FIELD(conf_catalog, member.own_allow_transfer), NULL,
	  "who may transfer its members from us, whatever holds for other zones" },
	{ SECTION_CATALOG, "max-records", CONF_NUMBER, 1, 1000000000, "50000000", CONF_RELOAD,
	  FIELD(conf_catalog, member.max_records), NULL,
	  "a transfer of a member with more records than this is refused" },
	{ SECTION_CATALOG, "max-size", CONF_SIZE, 64 * KIB, 1024 * GIB, "4G", CONF_RELOAD,
	  FIELD(conf_catalog, member.max_bytes), NULL,
	  "a transfer of a member with more bytes than this is refused" },
	{ SECTION_CATALOG, "on-regression", CONF_REGRESSION, S(1), S(30 * 86400), NULL, CONF_RELOAD,
	  FIELD(conf_catalog, member.on_regression), NULL,
	  "for its members; without it as their pool says" },

	{ SECTION_GROUP, "pool", CONF_POOL, 0, 0, NULL, CONF_RELOAD | CONF_REQUIRED,
	  FIELD(conf_group, pool), NULL, "the pool that answers for members of the group" },
};
const size_t conf_row_count = sizeof(conf_rows) / sizeof(conf_rows[0]);

static bool is_named(const char *known, const char *name, size_t len)
{
	return strlen(known) == len && memcmp(known, name, len) == 0;
}

const struct conf_row *conf_row_find(enum conf_section section, const char *name, size_t len)
{
	for (size_t i = 0; i < conf_row_count; i++)
		if (conf_rows[i].section == section && is_named(conf_rows[i].name, name, len))
			return &conf_rows[i];
	return NULL;
}

enum conf_section conf_section_find(enum conf_section parent, const char *name, size_t len)
{
	for (unsigned i = 0; i < SECTION_COUNT; i++)
		if (conf_sections[i].parent == parent && is_named(conf_sections[i].name, name, len))
			return (enum conf_section)i;
	return SECTION_NONE;
}

void conf_words_list(const struct conf_word *words, char *text, size_t room)
{
	size_t len = (size_t)snprintf(text, room, "one of");

	for (; words->text && len < room; words++)
		len += (size_t)snprintf(text + len, room - len, " %s", words->text);
}

struct unit {
	const char *name;
	uint64_t size;
};

/* `n` in the largest unit that divides it. */
static void put_with_unit(char *text, size_t room, uint64_t n, const struct unit *units)
{
	while (units->size > 1 && (n == 0 || n % units->size != 0))
		units++;
	snprintf(text, room, "%" PRIu64 "%s", n / units->size, units->name);
}

static void put_bound(char *text, size_t room, enum conf_type type, uint64_t n)
{
	static const struct unit durations[] = {
		{ "h", S(3600) }, { "m", S(60) }, { "s", S(1) }, { "ms", MS(1) }, { "us", 1 },
	};
	static const struct unit sizes[] = { { "G", GIB }, { "M", MIB }, { "k", KIB }, { "", 1 } };

	if (type == CONF_DURATION && n == 0)
		snprintf(text, room, "0s");
	else if (type == CONF_DURATION)
		put_with_unit(text, room, n, durations);
	else if (type == CONF_SIZE)
		put_with_unit(text, room, n, sizes);
	else
		snprintf(text, room, "%" PRIu64, n);
}

void conf_range_text(const struct conf_row *row, char *text, size_t room)
{
	char low[32], high[32];

	if (row->words) {
		conf_words_list(row->words, text, room);
	} else if (row->type == CONF_NUMBER || row->type == CONF_DURATION ||
		   row->type == CONF_SIZE || row->type == CONF_REGRESSION) {
		enum conf_type type = row->type == CONF_REGRESSION ? CONF_DURATION : row->type;

		put_bound(low, sizeof(low), type, row->min);
		put_bound(high, sizeof(high), type, row->max);
		snprintf(text, room, "%s..%s", low, high);
	} else {
		snprintf(text, room, "-");
	}
}

static const char *type_text(enum conf_type type)
{
	switch (type) {
	case CONF_NUMBER:	return "number";
	case CONF_DURATION:	return "duration";
	case CONF_SIZE:		return "size";
	case CONF_BOOL:		return "true or false";
	case CONF_ADDRESS:
	case CONF_REDIS_ADDRESS: return "address";
	case CONF_SENTINELS:
	case CONF_LISTEN:	return "list of addresses";
	case CONF_INTERFACES:	return "list of interfaces";
	case CONF_TEXT:
	case CONF_PREFIX:
	case CONF_BYTES:
	case CONF_REGRESSION:
	case CONF_ALGORITHM:	return "text";
	case CONF_COOKIE_FILE:
	case CONF_TEXT_FILE:
	case CONF_TLS_FILE:
	case CONF_SECRET_FILE:	return "file";
	case CONF_PROGRAM:	return "program";
	case CONF_WORD:		return "word";
	case CONF_WORDS:	return "list of words";
	case CONF_POOL:
	case CONF_KEY:
	case CONF_TLS_NAME:	return "name";
	case CONF_SECRET:	return "base64";
	case CONF_ALLOW:	return "list of prefixes and keys";
	case CONF_NAMES:	return "list of domain names";
	case CONF_PIN:		return "list of base64";
	}
	return "";
}

void conf_print_options(FILE *out)
{
	for (size_t i = 0; i < conf_row_count; i++) {
		const struct conf_row *row = &conf_rows[i];
		const char *path = conf_sections[row->section].path;
		const char *def = row->def && *row->def ? row->def : "-";
		char range[128];

		conf_range_text(row, range, sizeof(range));
		fprintf(out, "%s%s%s\t%s\t%s\t%s\t%s\n", path, *path ? "/" : "", row->name,
			type_text(row->type), range,
			row->flags & CONF_REQUIRED ? "required" : def, row->sentence);
	}
}

const char *conf_policy_text(enum conf_policy p)
{
	for (const struct conf_word *w = policy_words; w->text; w++)
		if (w->value == p)
			return w->text;
	return "";
}
