/* SPDX-License-Identifier: ISC */
/*
 * store_parts - what the files of the store share, and nobody else includes.
 *
 * store.c         the object: zones, up and down, who may run
 * store_refusal.c errors that concern every write, and rights that we lack
 * store_check.c   settings of Redis that endanger a zone
 * store_task.c    commands, tasks that wait for replies, the critical section
 * store_save.c    deciding what to write
 * store_commit.c  the commit
 * store_base.c    a whole generation as chunks, before it is committed
 * store_compact.c a new base under a stream that has grown long
 * store_load.c    reading back
 * store_follow.c  from what is held to the newest, by changes
 * store_news.c    what others have committed, and what they want
 * store_lease.c   who transfers
 * store_errand.c  touches and polls
 * store_clock.c   by how much Redis' clock differs from ours
 *
 * A *task* sends some commands and goes on with its `next` step when every one of them has
 * been answered. WATCH belongs to the connection and not to a task, so what lies between a
 * WATCH and its EXEC or UNWATCH is a *section*, and one task is in it at a time.
 */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#include <xxhash.h>

#include "cache/chunk.h"
#include "cache/redis_error.h"
#include "cache/redis_reply.h"
#include "cache/store.h"
#include "cache/store_step.h"
#include "cache/wire.h"

enum {
	STORE_SCHEMA = 1,
	STORE_REASON_MAX = 160,
	STORE_SOURCE_MAX = 160,
	STORE_STAGING_S = 600,		/* how long a staged base outlives its writer */
	STORE_QUEUE_MARK = 512 << 10,	/* stop making chunks above it: some 3 ms of work */
	STORE_CHANGES_MAX = 100,	/* entries: beyond them a commit writes a new base */
	STORE_STREAM_LEAST = 1 << 20,	/* bytes that a stream may have, however small the zone */
	STORE_EVENTS_MAX = 1000,
	STORE_SAVES_MAX = 4,		/* going on at the same time; each has a chunk in memory */
	STORE_LOADS_MAX = 4,
	STORE_ATTEMPTS_MAX = 5,		/* commits that others got in the way of */
	STORE_ARGS_MAX = 160,
	STORE_DENIED_MAX = 32,		/* commands: more than we have */
};

/* No zone comes so far honestly; beyond it somebody could run over. */
#define STORE_GENERATION_MAX	(UINT64_MAX >> 2)

/* ---- Commands ---- */

/* Borrows what it is given until it is sent, numbers excepted. */
struct store_command {
	int argc;
	const char *argv[STORE_ARGS_MAX];
	size_t len[STORE_ARGS_MAX];
	size_t used;
	char numbers[512];
};

void command_start(struct store_command *c, const char *word);
void command_text(struct store_command *c, const char *text);
void command_bytes(struct store_command *c, const void *bytes, size_t len);
void command_number(struct store_command *c, uint64_t v);
void command_field(struct store_command *c, const char *field, uint64_t v);	/* name, number */

/* ---- Tasks ---- */

struct store_task {
	struct store_zone *zone;
	unsigned outstanding;
	bool is_lost;			/* a reply was NULL: the connection went */
	bool is_raced;			/* EXEC gave nil: a watched key had changed */
	bool is_save;
	char reason[STORE_REASON_MAX];	/* the first thing that went wrong; empty: nothing */
	void (*next)(struct store_task *t);	/* may free the task */
};

typedef void (*task_reply_fn)(struct store_task *t, const redisReply *reply);

/* Sends; an error reply fails the task, any other goes to `got` (may be NULL). */
void task_send(struct store_task *t, const struct store_command *c, task_reply_fn got);
void task_send_words(struct store_task *t, const char *word, const char *key, task_reply_fn got);

/* Notes what is wrong unless something was before. */
void task_fail(struct store_task *t, const char *reason);
bool task_is_failed(const struct store_task *t);

/* Ready for another round: forgets what went wrong. */
void task_reset(struct store_task *t);

/* MULTI before, EXEC after what is sent in between; sets is_raced. */
void task_multi(struct store_task *t);
void task_exec(struct store_task *t);

struct section {
	struct section *after;
	void (*enter)(struct section *x);
};

/* Calls x->enter when nobody is inside: at once or later. */
void section_enter(struct store *s, struct section *x);

/* Whoever entered leaves, when its EXEC or UNWATCH has been sent. */
void section_leave(struct store *s);

/* ---- Zones and the store ---- */

/* What is to be saved: the newest generation that the mirror gave us. */
struct store_wish {
	const struct generation *g, *old;	/* held; g NULL: nothing is wished */
	struct zone_times times;
	char source[STORE_SOURCE_MAX];
	bool is_ordered;		/* does not give way to a newer serial */
	bool is_reported;		/* that it failed; do not say so at each retry */
};

struct store_touch {
	bool is_wished;
	uint64_t generation;
	struct zone_times times;
};

struct store_zone {
	struct store *store;
	uint8_t origin[NAME_LEN_MAX];
	char *text;			/* the origin in presentation form */
	char *key_hash, *key_changes, *key_lease;
	struct store_wish wish;
	struct store_touch touch;
	struct store_save *save;	/* going on, or NULL */
	struct store_load *load;	/* likewise */
	bool is_loading;		/* wished or going on */
	size_t max_records, max_bytes;	/* of what is loaded; 0: no bound */
	const struct generation *follow_from;	/* pinned until the follow begins; or NULL */
	struct store_follow *follow;	/* going on, or NULL */
	struct store_compact *compact;	/* likewise */
	uint64_t place_generation;	/* the entry that led to it has ... */
	char place[STEP_ID_MAX];	/* ... this ID in the stream */
	bool is_lease_ours;		/* as last heard */
	bool is_touching;
	uint64_t generation;		/* the latest that was seen in the store */
	uint64_t serial_generation;	/* the one that has `serial`; 0: none */
	uint32_t serial;
	uint64_t stored;		/* what was seen there last; 0: nothing */
	uint64_t doubted;		/* a generation that could not be read back */
	size_t changes_bytes;		/* in the stream since its base, as far as we know */
	ev_timer retry;			/* runs after a save that failed */
	double backoff;
	struct store_zone *after_save, *after_load, *after_follow;	/* in the store's queues */
	bool is_queued_save;
	unsigned errands;		/* going on */
	bool is_forgotten;		/* freed when nothing of it is going on */
	struct store_zone *after_forgotten;
};

struct store_queue {
	struct store_zone *head, *tail;
};

/* Redis takes no writes, or not ours: see store_refusal.c. */
struct store_refusal {
	bool is_there;
	bool is_trying;			/* one save may run, to see */
	const char *word;		/* the command that shows the end; NULL: a commit does */
	ev_timer again;			/* until the next try */
	double backoff;
	unsigned denied_count;
	const char *denied[STORE_DENIED_MAX];	/* commands that were told of */
};

struct store_check {
	ev_timer again;
	struct store_settings settings;
	bool is_seen;			/* INFO has been answered */
	bool is_config_denied;		/* CONFIG GET is not for us */
	bool is_bad[SETTING_COUNT];	/* as last told */
};

struct store {
	struct ev_loop *loop;
	struct store_conf conf;
	const struct store_listener *listener;
	void *arg;
	struct redis *redis;
	struct store_news *news;
	char *key_zones, *key_events, *key_wanted;
	struct tree zones;		/* of struct store_zone */
	struct store_queue to_save, to_load, to_follow;
	struct store_zone *forgotten;	/* a list; some are remembered again */
	unsigned saving, loading, following;	/* tasks */
	bool is_compacting;		/* some zone; one at a time */
	unsigned lease_s;
	int64_t skew_s;			/* Redis' wall clock less ours */
	uint64_t time_asked_us;		/* when Redis was asked for it last; monotonic */
	ev_timer clock;			/* runs while the store is up: looks again */
	struct store_refusal refusal;
	struct store_check check;
	unsigned tasks;			/* of every kind: commands are outstanding */
	struct section *section, *section_last;	/* the first is inside */
	bool is_closing;		/* store_free(): nobody is told anything any more */
};

struct store_zone *store_zone_get(struct store *s, const uint8_t *origin);

/* "PREFIX:NOUN:{ORIGIN}" and, when not NULL, ":" and `end`. The caller frees. */
char *store_key(const struct store_zone *z, const char *noun, const char *end);
char *store_base_key(const struct store_zone *z, uint64_t generation, const char *end);

/* The zone has something to save: it runs when it may. */
void store_ready(struct store_zone *z);

/* Starts what waits and may run. */
void store_pump(struct store *s);

/* The zone's hash says that it holds this one; 0: none. Less than before is told. */
void store_zone_saw(struct store_zone *z, uint64_t generation);
void store_zone_saw_serial(struct store_zone *z, uint64_t generation, uint64_t serial);

/* Writes what nobody heeds; `done` has the store as its argument. */
void store_try_write(struct store *s, redis_reply_fn done);

void refusal_init(struct store *s);
void refusal_forget(struct store *s);		/* a new connection: perhaps all is well */
unsigned refusal_saves_max(const struct store *s);	/* how many saves may run now */
void refusal_note(struct store *s, const struct store_task *t, const char *word,
		  const char *reason);		/* an error reply to `word` */
void refusal_note_denied(struct store *s, const char *word, const char *reason);	/* of no zone */
void refusal_note_reply(struct store *s, const char *word);	/* any other reply */
void refusal_note_commit(struct store *s);

void store_check_init(struct store *s);
void store_check_ask(struct store *s);		/* now, and again every minute */
void store_check_stop(struct store *s);

void wish_drop(struct store_wish *w);

/*
 * The digest of a base: XXH3 (64 bits) of each chunk's header in order, each seeded with the
 * outcome of the one before, the first with 0. A header holds the digest of its body.
 */
static inline uint64_t store_digest(uint64_t before, const uint8_t *chunk)
{
	return XXH3_64bits_withSeed(chunk, CHUNK_HEADER_LEN, before);
}

/* What the zone's hash says about itself, as far as a writer needs to know. */
struct store_head {
	bool is_there;
	uint64_t generation, serial, base, records;
	uint64_t changes;		/* entries in the stream */
};

/* Where the making of chunks has come to, in canonical order of the names. */
struct store_cursor {
	const struct node *node;	/* NULL: at the end */
	struct rrset set;
	size_t pos;			/* in `set` */
};

struct store_base {
	const struct generation *g;
	char *key;			/* of staging; NULL while nothing is staged */
	struct store_cursor cursor;
	struct chunk_writer *writer;
	uint64_t chunks, digest;	/* so far */
};

void base_start(struct store_base *b, struct store_task *t, const struct generation *g);
void base_forget(struct store_base *b);
bool base_is_staged(const struct store_base *b);	/* every chunk has been sent */

/* Sends what the queue has room for; `got` hears of each chunk and calls this again. */
void base_stage(struct store_base *b, struct store_task *t, task_reply_fn got);

/* In a transaction: the staged chunks take their name. */
void base_put(const struct store_base *b, struct store_task *t);

/* `g` was committed as a change, the stream has so many entries: perhaps a new base is due. */
void compact_if_due(struct store_zone *z, const struct generation *g, uint64_t entries);

void save_start(struct store_zone *z);	/* takes the wish */
void touch_start(struct store_zone *z);	/* takes the touch */
void load_start(struct store_zone *z);

/* Starts the follows that wait and may run. */
void follow_pump(struct store *s);

/* Asks for Redis' clock: by how much ours differs from it. */
void store_ask_time(struct store *s);

/* From our clock to that of the store, and back. */
void store_times_to(const struct store *s, struct zone_times *times);
void store_times_from(const struct store *s, struct zone_times *times);

struct store_news *news_new(struct store *s);
void news_free(struct store_news *n);

/* The store's own connection has come up, or gone. */
void news_start(struct store_news *n);
void news_stop(struct store_news *n);

#endif
