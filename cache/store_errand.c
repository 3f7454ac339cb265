/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "cache/memory.h"
#include "cache/store_parts.h"

/* A command or two about one zone, for which nobody keeps a state. */
struct errand {
	struct store_task task;		/* first */
	struct section section;
	struct store_touch touch;
	uint64_t generation;		/* what the store says; 0: none */
	uint64_t seen;			/* of a poll: */
	bool is_holder_known;
	char holder[STORE_HOLDER_MAX];
};

static struct errand *errand_of(struct store_task *t)
{
	return (struct errand *)t;
}

static struct errand *errand_new(struct store_zone *z)
{
	struct errand *e = memory_zeroed(1, sizeof(*e));

	e->task.zone = z;
	z->errands++;
	return e;
}

static void errand_free(struct errand *e)
{
	e->task.zone->errands--;
	free(e);
}

static void got_generation(struct store_task *t, const redisReply *reply)
{
	if (!reply_number(reply, &errand_of(t)->generation))
		errand_of(t)->generation = 0;
	store_zone_saw(t->zone, errand_of(t)->generation);
}

static void ask_generation(struct errand *e)
{
	struct store_command c;

	command_start(&c, "HGET");
	command_text(&c, e->task.zone->key_hash);
	command_text(&c, "generation");
	task_send(&e->task, &c, got_generation);
}

/* What went wrong is of no interest: the next refresh brings the next touch. */
static void end_touch(struct store_task *t)
{
	struct errand *e = errand_of(t);
	struct store_zone *z = t->zone;

	z->is_touching = false;
	if (t->is_lost && !z->touch.is_wished)
		z->touch = e->touch;
	errand_free(e);
	if (z->touch.is_wished)
		store_ready(z);
	store_pump(z->store);
}

static void after_touch_look(struct store_task *t)
{
	struct errand *e = errand_of(t);
	struct zone_times times = e->touch.times;
	struct store_command c;

	t->next = end_touch;
	store_times_to(t->zone->store, &times);
	if (!task_is_failed(t) && e->generation == e->touch.generation) {
		task_multi(t);
		command_start(&c, "HSET");
		command_text(&c, t->zone->key_hash);
		command_field(&c, "refreshed_at", times.refreshed_at);
		command_field(&c, "expires_at", times.expires_at);
		task_send(t, &c, NULL);
		task_exec(t);
	} else {
		task_send_words(t, "UNWATCH", NULL, NULL);
	}
	section_leave(t->zone->store);
}

static void enter_touch(struct section *x)
{
	struct errand *e = (struct errand *)((char *)x - offsetof(struct errand, section));

	e->task.next = after_touch_look;
	task_send_words(&e->task, "WATCH", e->task.zone->key_hash, NULL);
	ask_generation(e);
}

void touch_start(struct store_zone *z)
{
	struct errand *e = errand_new(z);

	e->section.enter = enter_touch;
	e->touch = z->touch;
	z->touch.is_wished = false;
	z->is_touching = true;
	section_enter(z->store, &e->section);
}

static void got_holder(struct store_task *t, const redisReply *reply)
{
	struct errand *e = errand_of(t);

	e->is_holder_known = reply->type == REDIS_REPLY_NIL || reply->type == REDIS_REPLY_STRING;
	reply_copy_word(reply, e->holder, sizeof(e->holder));
}

static void end_poll(struct store_task *t)
{
	struct errand *e = errand_of(t);
	struct store *s = t->zone->store;

	if (!s->is_closing && !task_is_failed(t)) {
		if (e->is_holder_known)
			s->listener->on_holder(t->zone->origin, e->holder, s->arg);
		if (e->generation > e->seen && e->generation <= STORE_GENERATION_MAX)
			s->listener->on_newer(t->zone->origin, e->generation, s->arg);
	}
	errand_free(e);
}

void store_poll(struct store *s, const uint8_t *origin, uint64_t seen)
{
	struct errand *e = errand_new(store_zone_get(s, origin));

	e->seen = seen;
	e->task.next = end_poll;
	ask_generation(e);
	task_send_words(&e->task, "GET", e->task.zone->key_lease, got_holder);
}
