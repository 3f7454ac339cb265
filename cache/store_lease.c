/* SPDX-License-Identifier: ISC */
/*
 * The lease of a zone is a string with our name and an expiry. SET NX GET takes it or says
 * whose it is; GETEX makes the life of ours longer, and says so if it is not ours any more. One
 * that changed hands just before then lives longer for its new holder, which harms nobody.
 *
 *      is it ours, as far as we know?  no: SET NX GET --nil--> ours
 *               |                               |  \-ours--> GETEX
 *               `-yes-> GETEX --ours--> ours    `-other--> theirs
 *                         \--nil--> SET NX GET
 *
 * To leave it is to test and to delete, under WATCH, so that a lease which changes hands
 * meanwhile is left alone.
 */
#include <stdlib.h>

#include "cache/memory.h"

#include "cache/store_parts.h"

enum { STEPS_MAX = 3 };		/* commands of one taking: more means that somebody plays with us */

struct lease {
	struct store_task task;		/* first */
	struct section section;
	bool is_ours;
	bool is_free;			/* nobody has it */
	unsigned steps;
	char holder[STORE_HOLDER_MAX];
};

static struct lease *lease_of(struct store_task *t)
{
	return (struct lease *)t;
}

static struct lease *lease_new(struct store_zone *z)
{
	struct lease *x = memory_zeroed(1, sizeof(*x));

	x->task.zone = z;
	z->errands++;
	return x;
}

static void lease_free(struct lease *x)
{
	x->task.zone->errands--;
	free(x);
}

/* ---- Taking and renewing ---- */

/*
 * When the store cannot say whose it is, it is ours: Redis is no gate, and without it each
 * of us transfers for itself.
 */
static void end_taking(struct store_task *t)
{
	struct lease *x = lease_of(t);
	struct store *s = t->zone->store;

	t->zone->is_lease_ours = x->is_ours;
	if (!s->is_closing)
		s->listener->on_lease(t->zone->origin, x->is_ours || task_is_failed(t), x->holder,
				      s->arg);
	lease_free(x);
}

static void got_holder(struct store_task *t, const redisReply *reply)
{
	struct lease *x = lease_of(t);

	x->is_ours = reply_is_string(reply, t->zone->store->conf.instance);
	x->is_free = reply->type == REDIS_REPLY_NIL;
	reply_copy_word(reply, x->holder, sizeof(x->holder));
}

static void after_taking(struct store_task *t);

static void send_life(struct store_command *c, const struct store *s)
{
	command_text(c, "PX");
	command_number(c, s->lease_s * 1000ull);
}

static void renew(struct lease *x)
{
	struct store_command c;

	command_start(&c, "GETEX");
	command_text(&c, x->task.zone->key_lease);
	send_life(&c, x->task.zone->store);
	task_send(&x->task, &c, got_holder);
}

/* Nobody had it: then it is ours now. */
static void got_holder_before(struct store_task *t, const redisReply *reply)
{
	got_holder(t, reply);
	if (lease_of(t)->is_free)
		lease_of(t)->is_ours = true;
}

static void take(struct lease *x)
{
	struct store_command c;

	command_start(&c, "SET");
	command_text(&c, x->task.zone->key_lease);
	command_text(&c, x->task.zone->store->conf.instance);
	command_text(&c, "NX");
	command_text(&c, "GET");
	send_life(&c, x->task.zone->store);
	task_send(&x->task, &c, got_holder_before);
}

static void after_renewing(struct store_task *t)
{
	struct lease *x = lease_of(t);

	t->next = after_taking;
	if (!task_is_failed(t) && x->is_free && ++x->steps < STEPS_MAX)
		take(x);
	else
		end_taking(t);
}

/* Ours, and not because it was free: it has been, and is to live on. */
static void after_taking(struct store_task *t)
{
	struct lease *x = lease_of(t);

	t->next = after_renewing;
	if (!task_is_failed(t) && x->is_ours && !x->is_free && ++x->steps < STEPS_MAX)
		renew(x);
	else
		end_taking(t);
}

void store_take_lease(struct store *s, const uint8_t *origin)
{
	struct lease *x = lease_new(store_zone_get(s, origin));

	x->task.next = x->task.zone->is_lease_ours ? after_renewing : after_taking;
	(x->task.zone->is_lease_ours ? renew : take)(x);
}

void store_set_lease_s(struct store *s, unsigned lease_s)
{
	s->lease_s = lease_s;
}

/* ---- Leaving ---- */

static void end_leaving(struct store_task *t)
{
	lease_free(lease_of(t));
}

static void after_holder(struct store_task *t)
{
	struct store *s = t->zone->store;

	t->next = end_leaving;
	if (!task_is_failed(t) && lease_of(t)->is_ours) {
		task_multi(t);
		task_send_words(t, "DEL", t->zone->key_lease, NULL);
		task_send_words(t, "EXEC", NULL, NULL);
	} else {
		task_send_words(t, "UNWATCH", NULL, NULL);
	}
	section_leave(s);
}

static void enter_section(struct section *x)
{
	struct lease *l = (struct lease *)((char *)x - offsetof(struct lease, section));
	struct store_task *t = &l->task;

	t->next = after_holder;
	task_send_words(t, "WATCH", t->zone->key_lease, NULL);
	task_send_words(t, "GET", t->zone->key_lease, got_holder);
}

void store_leave_lease(struct store *s, const uint8_t *origin)
{
	struct lease *x = lease_new(store_zone_get(s, origin));

	x->task.zone->is_lease_ours = false;
	x->section.enter = enter_section;
	section_enter(s, &x->section);
}
