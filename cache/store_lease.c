/* SPDX-License-Identifier: ISC */
/*
 * The lease of a zone is a string with our name and an expiry. To take it: SET NX; when
 * somebody has it and that is us, its life is made longer. What is tested and then done
 * is tested under WATCH, so that a lease which changes hands meanwhile is left alone.
 */
#include <stdlib.h>

#include "cache/memory.h"

#include "cache/store_parts.h"

struct lease {
	struct store_task task;		/* first */
	struct section section;
	bool is_leaving;
	bool is_ours;
};

static struct lease *lease_of(struct store_task *t)
{
	return (struct lease *)t;
}

/*
 * When the store cannot say whose it is, it is ours: Redis is no gate, and without it each
 * of us transfers for itself.
 */
static void end_lease(struct store_task *t)
{
	struct lease *x = lease_of(t);
	struct store *s = t->zone->store;
	bool is_ours = x->is_ours || task_is_failed(t);

	if (!x->is_leaving && !s->is_closing)
		s->listener->on_lease(t->zone->origin, is_ours, s->arg);
	free(x);
}

static void got_renewed(struct store_task *t, const redisReply *reply)
{
	struct lease *x = lease_of(t);

	/* EXEC of one command: its reply is 1 when the key was still there. */
	x->is_ours = reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
		     reply->element[0]->type == REDIS_REPLY_INTEGER &&
		     reply->element[0]->integer == 1;
}

static void renew_or_leave(struct lease *x)
{
	struct store_task *t = &x->task;
	struct store_command c;

	task_multi(t);
	command_start(&c, x->is_leaving ? "DEL" : "PEXPIRE");
	command_text(&c, t->zone->key_lease);
	if (!x->is_leaving)
		command_number(&c, t->zone->store->conf.lease_s * 1000ull);
	task_send(t, &c, NULL);
	task_send_words(t, "EXEC", NULL, got_renewed);
}

static void got_holder(struct store_task *t, const redisReply *reply)
{
	lease_of(t)->is_ours = reply_is_string(reply, t->zone->store->conf.instance);
}

static void after_holder(struct store_task *t)
{
	struct lease *x = lease_of(t);
	struct store *s = t->zone->store;

	t->next = end_lease;
	if (!task_is_failed(t) && x->is_ours)
		renew_or_leave(x);
	else
		task_send_words(t, "UNWATCH", NULL, NULL);
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

static void got_taken(struct store_task *t, const redisReply *reply)
{
	lease_of(t)->is_ours = reply_is_status(reply, "OK");
}

static void after_taking(struct store_task *t)
{
	struct lease *x = lease_of(t);

	if (task_is_failed(t) || x->is_ours)
		end_lease(t);
	else
		section_enter(t->zone->store, &x->section);
}

static struct lease *lease_new(struct store_zone *z, bool is_leaving)
{
	struct lease *x = memory_zeroed(1, sizeof(*x));

	x->task.zone = z;
	x->section.enter = enter_section;
	x->is_leaving = is_leaving;
	return x;
}

void store_take_lease(struct store *s, const uint8_t *origin)
{
	struct lease *x = lease_new(store_zone_get(s, origin), false);
	struct store_command c;

	x->task.next = after_taking;
	command_start(&c, "SET");
	command_text(&c, x->task.zone->key_lease);
	command_text(&c, s->conf.instance);
	command_text(&c, "NX");
	command_text(&c, "PX");
	command_number(&c, s->conf.lease_s * 1000ull);
	task_send(&x->task, &c, got_taken);
}

void store_leave_lease(struct store *s, const uint8_t *origin)
{
	section_enter(s, &lease_new(store_zone_get(s, origin), true)->section);
}
