/* SPDX-License-Identifier: ISC */
/*
 * Timers: `retry` brings the next connection, or the next PING while Redis is loading;
 * `deadline` stands for the connect, later for the oldest command; `idle` sends a PING now
 * and then, so that a frozen Redis is noticed when nothing is asked; `refuse` calls back
 * what could not be sent. `deadline` has the lowest priority: after a stall of the loop,
 * replies that wait in the socket are read first.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/redis_error.h"
#include "cache/redis_parts.h"

#define BACKOFF_MIN_S	0.05
#define BACKOFF_MAX_S	5.0
#define BACKOFF_SENTINEL_S 1.0	/* a failover is waited for, and takes a second or so */
#define IDLE_S		5.0
#define LATE_US		(100 * US_PER_MS)	/* a timer this late: the loop was held up */
#define HELD_US		(5 * US_PER_S)	/* a connection that lasted so long was well */

enum { CALL_OVERHEAD = 64 };

/* ---- Calls ---- */

static void call_list_init(struct call_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void call_append(struct call_list *l, struct call *c)
{
	c->next = NULL;
	*l->tail = c;
	l->tail = &c->next;
}

static struct call *call_take(struct call_list *l)
{
	struct call *c = l->head;

	if (c && !(l->head = c->next))
		l->tail = &l->head;
	return c;
}

static void call_end(struct call *c, const redisReply *reply)
{
	struct redis *r = c->owner;

	r->depth++;
	if (c->done)
		c->done(reply, c->arg);
	r->depth--;
	free(c);
}

static void refuse_call(struct redis *r, struct call *c)
{
	call_append(&r->refused, c);
	if (!ev_is_active(&r->refuse)) {
		ev_timer_set(&r->refuse, 0., 0.);
		ev_timer_start(r->loop, &r->refuse);
	}
}

/* Calls back those that were there when it began: a callback may send, and be refused. */
static void on_refuse(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis *r = w->data;
	struct call_list list = r->refused;
	struct call *c;

	(void)loop;
	(void)revents;
	if (!list.head)
		return;
	call_list_init(&r->refused);
	while ((c = call_take(&list)))
		call_end(c, NULL);
}

/* ---- The state, and whom it is told ---- */

void redis_report(struct redis *r, bool up, const char *reason)
{
	bool is_news = !r->is_reported || up != r->is_reported_up;

	if (!is_news && (up || strcmp(reason, r->reason) == 0))
		return;
	snprintf(r->reason, sizeof(r->reason), "%s", up ? "" : reason);
	r->is_reported = true;
	r->is_reported_up = up;
	r->depth++;
	r->on_state(up, up ? NULL : r->reason, r->arg);
	r->depth--;
}

void redis_retry(struct redis *r, ev_tstamp after)
{
	ev_timer_stop(r->loop, &r->retry);
	ev_timer_set(&r->retry, after, 0.);
	ev_timer_start(r->loop, &r->retry);
}

static void start_deadline(struct redis *r, ev_tstamp after)
{
	ev_timer_stop(r->loop, &r->deadline);
	ev_timer_set(&r->deadline, after > 0. ? after : 0., 0.);
	ev_timer_start(r->loop, &r->deadline);
}

/* Full jitter on the upper half, so that a fleet does not come back in step. */
static ev_tstamp next_backoff(struct redis *r)
{
	ev_tstamp most = r->sentinel ? BACKOFF_SENTINEL_S : BACKOFF_MAX_S;
	ev_tstamp wait = r->backoff * (0.5 + random_below(&r->random, 501) / 1000.);

	r->backoff = r->backoff * 2. < most ? r->backoff * 2. : most;
	return wait;
}

void redis_lose(struct redis *r, const char *reason)
{
	/* Only a connection that held proves that Redis is well: else we would come back
	 * every 50 ms to one that accepts and hangs up. */
	if (r->state == LINK_UP && clock_monotonic_us() - r->up_since_us > HELD_US)
		r->backoff = BACKOFF_MIN_S;
	if (r->link)
		r->link->owner = NULL;
	r->link = NULL;
	r->state = LINK_NONE;
	r->is_late = false;
	ev_timer_stop(r->loop, &r->deadline);
	ev_timer_stop(r->loop, &r->idle);
	redis_retry(r, next_backoff(r));
	redis_report(r, false, reason);
}

void redis_drop(struct redis *r, const char *reason)
{
	redisAsyncContext *ac = r->link->ac;
	char copy[REDIS_REASON_MAX];

	snprintf(copy, sizeof(copy), "%s", reason);	/* may lie in a reply that goes too */
	redis_lose(r, copy);
	redisAsyncFree(ac);
}

/* ---- Connecting ---- */

static void connect_now(struct redis *r)
{
	char reason[REDIS_REASON_MAX];

	r->link = link_open(r, reason);
	if (!r->link) {
		redis_lose(r, reason);
		return;
	}
	r->state = LINK_CONNECTING;
	ev_now_update(r->loop);
	start_deadline(r, r->conf.connect_ms / 1e3);
}

/*
 * While we look for the master this brings us to it; while we have one, it says whether that
 * still is the master. A sentinel that does not answer then is no reason to leave it.
 */
static void on_found(const struct address *master, const char *reason, void *arg)
{
	struct redis *r = arg;

	if (r->state == LINK_SEEKING && master) {
		r->address = *master;
		connect_now(r);
	} else if (r->state == LINK_SEEKING) {
		redis_lose(r, reason);
	} else if (r->state == LINK_UP && master && !address_is_equal(master, &r->address)) {
		redis_drop(r, "the sentinels name another master");
	}
}

static void begin(struct redis *r)
{
	if (!r->sentinel) {
		connect_now(r);
		return;
	}
	r->state = LINK_SEEKING;
	sentinel_ask(r->sentinel);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis *r = w->data;

	(void)loop;
	(void)revents;
	if (r->state == LINK_NONE)
		begin(r);
	else if (r->state == LINK_GREETING)
		greet(r);
}

/*
 * The oldest command is late. When this timer itself is late, the loop was held up and
 * Redis may be blameless: it gets as long again, once.
 */
static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis *r = w->data;
	const struct call *oldest = r->sent.head;
	uint64_t now_us = clock_monotonic_us();

	(void)loop;
	(void)revents;
	if (r->state == LINK_CONNECTING) {
		redis_drop(r, r->conf.tls.is_on ? "connecting to Redis with TLS took too long"
						: "connecting to Redis took too long");
	} else if (oldest && now_us < oldest->deadline_us) {
		start_deadline(r, (double)(oldest->deadline_us - now_us) / (double)US_PER_S);
	} else if (oldest && !r->is_late && now_us > oldest->deadline_us + LATE_US) {
		r->is_late = true;
		start_deadline(r, r->conf.command_ms / 1e3);
	} else if (oldest) {
		redis_drop(r, "Redis did not reply in time");
	}
}

/* ---- Sending ---- */

static void on_reply(redisAsyncContext *ac, void *reply, void *arg)
{
	struct call *c = arg;
	struct redis *r = c->owner;
	struct link *l = ac->data;
	const redisReply *said = reply;

	assert(c == r->sent.head);	/* replies come in the order of the commands */
	call_take(&r->sent);
	r->queued -= c->size;
	r->is_late = false;
	if (!reply && l->owner)
		redis_lose(r, link_why_ended(l));
	else if (r->sentinel && l->owner && said->type == REDIS_REPLY_ERROR &&
		 redis_error_is_demotion(said->str))
		redis_drop(r, said->str);
	call_end(c, reply);
}

static void send_call(struct redis *r, int argc, const char **argv, const size_t *argv_len,
		      struct call *c)
{
	c->deadline_us = clock_monotonic_us() + r->conf.command_ms * US_PER_MS;
	if (redisAsyncCommandArgv(r->link->ac, on_reply, c, argc, argv, argv_len) != REDIS_OK) {
		refuse_call(r, c);
		return;
	}
	call_append(&r->sent, c);
	r->queued += c->size;
	if (!ev_is_active(&r->deadline))
		start_deadline(r, r->conf.command_ms / 1e3);
}

static struct call *call_new(struct redis *r, int argc, const size_t *argv_len,
			     redis_reply_fn done, void *arg)
{
	struct call *c = memory_zeroed(1, sizeof(*c));

	c->owner = r;
	c->done = done;
	c->arg = arg;
	c->size = CALL_OVERHEAD;
	for (int i = 0; i < argc; i++)
		c->size += argv_len[i];
	return c;
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

/*
 * Half a transaction would be carried out, and without its MULTI each command by itself. So the
 * queue is looked at once for all of it, and may come out a little longer.
 */
static bool may_send(struct redis *r, const char *word, size_t len, size_t size)
{
	bool has_room = r->state == LINK_UP && r->queued + size <= r->conf.queue_max;
	bool may;

	if (is_word(word, len, "MULTI"))
		r->transaction = has_room ? TRANSACTION_SENT : TRANSACTION_REFUSED;
	may = r->transaction == TRANSACTION_NONE ? has_room : r->transaction == TRANSACTION_SENT;
	if (is_word(word, len, "EXEC"))
		r->transaction = TRANSACTION_NONE;
	return may;
}

void redis_command(struct redis *r, int argc, const char **argv, const size_t *argv_len,
		   redis_reply_fn done, void *arg)
{
	struct call *c = call_new(r, argc, argv_len, done, arg);

	assert(argc > 0);
	if (may_send(r, argv[0], argv_len[0], c->size))
		send_call(r, argc, argv, argv_len, c);
	else
		refuse_call(r, c);
}

void redis_send_words(struct redis *r, int argc, const char **argv, redis_reply_fn done)
{
	size_t len[4];

	assert(argc <= 4 && r->link);
	for (int i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	send_call(r, argc, argv, len, call_new(r, argc, len, done, r));
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis *r = w->data;

	(void)loop;
	(void)revents;
	if (r->state == LINK_UP && !r->sent.head)
		redis_send_words(r, 1, (const char *[]){ "PING" }, NULL);
	if (r->state == LINK_UP && r->sentinel)
		sentinel_ask(r->sentinel);
}

/* ---- The object ---- */

static void timer_init(struct redis *r, ev_timer *w,
		       void (*fire)(struct ev_loop *, ev_timer *, int))
{
	ev_timer_init(w, fire, 0., 0.);
	w->data = r;
}

struct redis *redis_new(struct ev_loop *loop, const struct redis_conf *conf,
			redis_state_fn on_state, void *arg)
{
	struct redis *r = memory_zeroed(1, sizeof(*r));

	assert(conf->connect_ms > 0 && conf->command_ms > 0 && conf->queue_max > 0);
	r->loop = loop;
	r->conf = *conf;
	if (conf->sentinel.count > 0)
		r->sentinel = sentinel_new(loop, conf, on_found, r);
	else
		r->address = conf->address;
	r->on_state = on_state;
	r->arg = arg;
	r->backoff = BACKOFF_MIN_S;
	call_list_init(&r->sent);
	call_list_init(&r->refused);
	timer_init(r, &r->retry, on_retry);
	timer_init(r, &r->deadline, on_deadline);
	timer_init(r, &r->idle, on_idle);
	timer_init(r, &r->refuse, on_refuse);
	ev_set_priority(&r->deadline, EV_MINPRI);
	r->idle.repeat = IDLE_S;
	random_init(&r->random);
	return r;
}

void redis_free(struct redis *r)
{
	struct link *l;

	if (!r)
		return;
	assert(r->depth == 0);
	sentinel_free(r->sentinel);
	l = r->link;
	r->link = NULL;
	r->state = LINK_NONE;
	if (l) {
		l->owner = NULL;
		redisAsyncFree(l->ac);
	}
	while (r->refused.head)
		on_refuse(r->loop, &r->refuse, 0);
	ev_timer_stop(r->loop, &r->retry);
	ev_timer_stop(r->loop, &r->deadline);
	ev_timer_stop(r->loop, &r->idle);
	ev_timer_stop(r->loop, &r->refuse);
	free(r);
}

void redis_start(struct redis *r)
{
	assert(r->state == LINK_NONE);
	redis_retry(r, 0.);	/* from the loop, so that on_state never comes from in here */
}

bool redis_is_up(const struct redis *r)
{
	return r->state == LINK_UP;
}

const struct address *redis_address(const struct redis *r)
{
	return r->address.len > 0 ? &r->address : &r->conf.sentinel.addresses[0];
}

size_t redis_queued(const struct redis *r)
{
	return r->queued;
}
