/* SPDX-License-Identifier: ISC */
/*
 * A notice lies in a slot from when the backend is told until it has been quiet for a second after
 * its acknowledgement, so that a flood of NOTIFY does not become another one here. Its ID leads
 * to the slot; the rest of the ID is chance, as is the port.
 */
#include "proxy/notifier_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <xxhash.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/event.h"
#include "cache/memory.h"

enum {
	NOTICES_MAX = 4096,	/* zones at a time; a power of two */
	TRIES_MAX = 5,		/* RFC 1996 s.3.6 */
	BATCH_MAX = 32,		/* replies read in one turn of the loop */
	BUCKETS = 1024,		/* a power of two */
};

#define FIRST_WAIT_US	(1 * US_PER_S)	/* for the acknowledgement; each next time twice as long */
#define PAUSE_US	(1 * US_PER_S)	/* between two notices of one zone */
#define LOOK_S		0.1		/* how often the slots are looked at */
#define QUIET_US	(60 * US_PER_S)

enum notice_state {
	NOTICE_FREE,
	NOTICE_SENT,	/* an acknowledgement is waited for, until next_us */
	NOTICE_DONE,	/* it came; until next_us the zone is not told of again */
};

struct notice {
	enum notice_state state;
	bool is_stale;			/* the zone has changed again since it was sent */
	bool is_deaf;			/* somebody forged a reply: the next try will tell */
	uint16_t id;
	unsigned tries;
	uint64_t hash;			/* of the origin */
	uint64_t next_us;
	struct tsig_stream *tsig;	/* NULL without a key */
	struct notice *next;		/* in its bucket */
	uint8_t origin[NAME_LEN_MAX];
};

struct peer {
	struct peers *shared;
	char pool[CONF_NAME_MAX], name[CONF_NAME_MAX];
	struct address address;
	bool has_key;
	struct tsig_key key;
	int fd;				/* -1 while nothing is under way */
	ev_io io;
	ev_timer look;
	struct notice *slots;		/* NULL before the first */
	struct notice *buckets[BUCKETS];	/* those in use, by hash: a flood finds them quickly */
	unsigned used, done;		/* slots; of these, in NOTICE_DONE */
	int error;			/* of the socket, since the last reply; 0: none */
	uint64_t told_us;		/* that it does not acknowledge; 0: never */
	unsigned untold;
};

/* ---- What the operator hears ---- */

static void tell_unanswered(struct peer *p, const struct notice *n, const char *reason)
{
	uint64_t now_us = clock_monotonic_us();
	char address[ADDRESS_TEXT_MAX];
	struct event e;

	if (p->told_us && now_us - p->told_us < QUIET_US) {
		p->untold++;
		return;
	}
	p->told_us = now_us;
	event_begin(&e, EVENT_WARNING, "notify_unanswered");
	event_text(&e, "backend", p->name);
	event_text(&e, "pool", p->pool);
	event_text(&e, "address", address_to_text(&p->address, address));
	event_name(&e, "zone", n->origin);
	event_number(&e, "tries", n->tries);
	event_text(&e, "reason", reason);
	if (p->untold > 0)
		event_number(&e, "suppressed", p->untold);
	event_end(&e);
	p->untold = 0;
}

static void tell_refused(struct peer *p, const struct notice *n, unsigned rcode)
{
	char reason[80];

	snprintf(reason, sizeof(reason), "it answers with rcode %u%s", rcode,
		 rcode == RCODE_REFUSED || rcode == RCODE_NOTAUTH
			 ? ": allow our address to notify it" : "");
	tell_unanswered(p, n, reason);
}

/* ---- The socket ---- */

static void on_readable(struct ev_loop *loop, ev_io *io, int revents);

/* Unbound before connect(): the kernel picks a random port, RFC 6056. */
static void open_socket(struct peer *p)
{
	if (p->fd >= 0)
		return;
	p->fd = socket(p->address.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0) {
		p->error = errno;
		return;
	}
	if (connect(p->fd, (struct sockaddr *)&p->address.storage, p->address.len) < 0)
		p->error = errno;
	ev_io_init(&p->io, on_readable, p->fd, EV_READ);
	p->io.data = p;
	ev_io_start(p->shared->loop, &p->io);
}

static void close_socket(struct peer *p)
{
	if (p->fd < 0)
		return;
	ev_io_stop(p->shared->loop, &p->io);
	close(p->fd);
	p->fd = -1;
}

/* ---- One notice ---- */

/* Another one than the last, whose reply may be late. */
static void set_id(struct peer *p, struct notice *n)
{
	unsigned slot = (unsigned)(n - p->slots), before = n->id, chance;

	do {
		chance = random_u16(&p->shared->random);
		n->id = (uint16_t)(chance - chance % NOTICES_MAX + slot);
	} while (n->id == before);
}

static void notice_send(struct peer *p, struct notice *n)
{
	uint64_t wall_s = clock_wall_us() / US_PER_S;
	uint8_t message[NOTIFY_MAX];
	size_t len;

	set_id(p, n);
	tsig_stream_free(n->tsig);
	n->tsig = p->has_key ? tsig_stream_new(&p->key) : NULL;
	n->is_deaf = false;
	n->is_stale = false;
	p->done -= n->state == NOTICE_DONE;
	n->state = NOTICE_SENT;
	n->next_us = clock_monotonic_us() + (FIRST_WAIT_US << n->tries);
	n->tries++;
	len = notify_put(n->origin, n->id, n->tsig, wall_s, message, sizeof(message));
	open_socket(p);
	if (p->fd >= 0 && send(p->fd, message, len, MSG_NOSIGNAL) < 0)
		p->error = errno;
}

static void notice_begin(struct peer *p, struct notice *n)
{
	n->tries = 0;
	p->shared->counts.sent_on++;
	notice_send(p, n);
}

/* It is known what became of it; should the zone change, it waits for a moment. */
static void notice_done(struct peer *p, struct notice *n)
{
	p->done++;
	n->state = NOTICE_DONE;
	n->next_us = clock_monotonic_us() + PAUSE_US;
}

static void notice_free(struct peer *p, struct notice *n)
{
	struct notice **at = &p->buckets[n->hash % BUCKETS];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	p->done -= n->state == NOTICE_DONE;
	tsig_stream_free(n->tsig);
	*n = (struct notice){ .state = NOTICE_FREE };
	if (--p->used > 0)
		return;
	ev_timer_stop(p->shared->loop, &p->look);
	close_socket(p);
	p->error = 0;
}

/* Of what changed after the last try it has not been told at all. */
static void give_up(struct peer *p, struct notice *n)
{
	p->shared->counts.unanswered++;
	tell_unanswered(p, n, p->error ? strerrordesc_np(p->error) : "no reply");
	if (n->is_stale)
		notice_begin(p, n);
	else
		notice_free(p, n);
}

static void notice_look(struct peer *p, struct notice *n, uint64_t now_us)
{
	if (n->state == NOTICE_FREE || now_us < n->next_us)
		return;
	if (n->state == NOTICE_DONE && n->is_stale)
		notice_begin(p, n);
	else if (n->state == NOTICE_DONE)
		notice_free(p, n);
	else if (n->tries < TRIES_MAX)
		notice_send(p, n);
	else
		give_up(p, n);
}

static void on_look(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct peer *p = t->data;
	uint64_t now_us = clock_monotonic_us();

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < NOTICES_MAX; i++)
		notice_look(p, &p->slots[i], now_us);
}

/* ---- Replies ---- */

static void take_reply(struct peer *p, const uint8_t *reply, size_t len)
{
	struct notice *n;
	unsigned rcode = 0;

	if (len < DNS_HEADER_LEN)
		return;
	n = &p->slots[(reply[0] << 8 | reply[1]) % NOTICES_MAX];
	if (n->state != NOTICE_SENT || n->is_deaf)
		return;
	switch (notify_judge(n->origin, n->id, n->tsig, clock_wall_us() / US_PER_S, reply, len,
			     &rcode)) {
	case NOTIFY_IGNORE:
		return;
	case NOTIFY_FORGED:
		n->is_deaf = true;
		return;
	case NOTIFY_ACKNOWLEDGED:
		p->shared->counts.acknowledged++;
		break;
	case NOTIFY_REFUSED:
		p->shared->counts.refused++;
		tell_refused(p, n, rcode);
		break;
	}
	p->error = 0;
	notice_done(p, n);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct peer *p = io->data;
	uint8_t reply[NOTIFY_MAX];

	(void)loop;
	(void)revents;
	for (int i = 0; i < BATCH_MAX; i++) {
		ssize_t len = recv(p->fd, reply, sizeof(reply), 0);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len < 0)
			p->error = errno;	/* ICMP: it may be back before we give up */
		else
			take_reply(p, reply, (size_t)len);
	}
}

/* ---- Telling ---- */

static struct notice *find_notice(struct peer *p, const uint8_t *origin, uint64_t hash)
{
	struct notice *n = p->buckets[hash % BUCKETS];

	while (n && !(n->hash == hash && name_is_equal(n->origin, origin)))
		n = n->next;
	return n;
}

/* Full: what merely keeps its distance makes room. */
static void make_room(struct peer *p)
{
	for (unsigned i = 0; p->done > 0 && i < NOTICES_MAX; i++)
		if (p->slots[i].state == NOTICE_DONE && !p->slots[i].is_stale)
			notice_free(p, &p->slots[i]);
}

static struct notice *take_slot(struct peer *p, const uint8_t *origin, uint64_t hash)
{
	unsigned at = random_u16(&p->shared->random);

	if (p->used == NOTICES_MAX)
		make_room(p);
	if (p->used == NOTICES_MAX)
		return NULL;
	while (p->slots[at % NOTICES_MAX].state != NOTICE_FREE)
		at++;
	struct notice *n = &p->slots[at % NOTICES_MAX];

	n->hash = hash;
	n->next = p->buckets[hash % BUCKETS];
	p->buckets[hash % BUCKETS] = n;
	memcpy(n->origin, origin, name_len(origin));
	if (p->used++ == 0)
		ev_timer_again(p->shared->loop, &p->look);
	return n;
}

void peer_tell(struct peer *p, const uint8_t *origin)
{
	uint64_t hash = XXH3_64bits(origin, name_len(origin));
	struct notice *n;

	if (!p->slots)
		p->slots = memory_zeroed(NOTICES_MAX, sizeof(*p->slots));
	n = find_notice(p, origin, hash);
	if (n) {
		n->is_stale = true;
		return;
	}
	n = take_slot(p, origin, hash);
	if (n)
		notice_begin(p, n);
	else
		p->shared->counts.dropped++;
}

/* ---- Life ---- */

struct peer *peer_new(struct peers *shared, const struct plan_pool *pool,
		      const struct plan_target *target)
{
	struct peer *p = memory_zeroed(1, sizeof(*p));

	p->shared = shared;
	snprintf(p->pool, sizeof(p->pool), "%s", pool->conf->name);
	snprintf(p->name, sizeof(p->name), "%s", target->backend->name);
	p->address = target->backend->address;
	p->has_key = target->key != NULL;
	if (target->key)
		p->key = *target->key;
	p->fd = -1;
	ev_init(&p->look, on_look);
	p->look.repeat = LOOK_S;
	p->look.data = p;
	return p;
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	for (unsigned i = 0; p->slots && i < NOTICES_MAX; i++)
		tsig_stream_free(p->slots[i].tsig);
	ev_timer_stop(p->shared->loop, &p->look);
	close_socket(p);
	free(p->slots);
	OPENSSL_cleanse(&p->key, sizeof(p->key));
	free(p);
}

static bool is_same_key(const struct peer *p, const struct tsig_key *key)
{
	if (!key || !p->has_key)
		return !key && !p->has_key;
	return name_is_equal(p->key.name, key->name) &&
	       strcmp(p->key.algorithm, key->algorithm) == 0 &&
	       p->key.secret_len == key->secret_len &&
	       CRYPTO_memcmp(p->key.secret, key->secret, key->secret_len) == 0;
}

bool peer_is_for(const struct peer *p, const struct plan_pool *pool,
		 const struct plan_target *target)
{
	return strcmp(p->pool, pool->conf->name) == 0 &&
	       strcmp(p->name, target->backend->name) == 0 &&
	       address_is_equal(&p->address, &target->backend->address) &&
	       is_same_key(p, target->key);
}
