/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"

#include "cache/store_parts.h"

/* ---- Commands ---- */

void command_bytes(struct store_command *c, const void *bytes, size_t len)
{
	assert(c->argc < STORE_ARGS_MAX);
	c->argv[c->argc] = bytes;
	c->len[c->argc] = len;
	c->argc++;
}

void command_text(struct store_command *c, const char *text)
{
	command_bytes(c, text, strlen(text));
}

void command_start(struct store_command *c, const char *word)
{
	c->argc = 0;
	c->used = 0;
	command_text(c, word);
}

void command_number(struct store_command *c, uint64_t v)
{
	char *at = c->numbers + c->used;
	int len = snprintf(at, sizeof(c->numbers) - c->used, "%" PRIu64, v);

	assert(len > 0 && (size_t)len < sizeof(c->numbers) - c->used);
	c->used += (size_t)len + 1;
	command_bytes(c, at, (size_t)len);
}

void command_field(struct store_command *c, const char *field, uint64_t v)
{
	command_text(c, field);
	command_number(c, v);
}

/* ---- Tasks ---- */

/* One command on its way: which task it belongs to, and who reads its reply. */
struct sent {
	struct store_task *task;
	task_reply_fn got;
	const char *word;		/* of the command: a constant */
};

void task_fail(struct store_task *t, const char *reason)
{
	if (!task_is_failed(t))
		snprintf(t->reason, sizeof(t->reason), "%s", reason);
}

bool task_is_failed(const struct store_task *t)
{
	return t->reason[0] != '\0';
}

void task_reset(struct store_task *t)
{
	assert(t->outstanding == 0);
	t->is_raced = false;
	t->reason[0] = '\0';
}

static void fail_reply(const struct sent *sent, const redisReply *reply)
{
	const char *text = reply_text(reply)[0] ? reply_text(reply) : "an error without a text";

	task_fail(sent->task, text);
	if (reply)
		refusal_note(sent->task->zone->store, sent->task, sent->word, text);
}

static void take_reply(const struct sent *sent, const redisReply *reply)
{
	refusal_note_reply(sent->task->zone->store, sent->word);
	if (sent->got)
		sent->got(sent->task, reply);
}

static void on_task_reply(const redisReply *reply, void *arg)
{
	struct sent sent = *(struct sent *)arg;
	struct store_task *t = sent.task;

	free(arg);
	t->outstanding--;
	t->zone->store->tasks--;
	if (!reply)
		t->is_lost = true;
	if (reply_is_error(reply))
		fail_reply(&sent, reply);
	else
		take_reply(&sent, reply);
	if (t->outstanding == 0)
		t->next(t);
}

bool store_is_lost(const char *reason)
{
	return strcmp(reason, reply_text(NULL)) == 0;
}

void task_send(struct store_task *t, const struct store_command *c, task_reply_fn got)
{
	struct sent *sent = memory_new(sizeof(*sent));

	*sent = (struct sent){ .task = t, .got = got, .word = c->argv[0] };
	t->outstanding++;
	t->zone->store->tasks++;
	redis_command(t->zone->store->redis, c->argc, (const char **)c->argv, c->len,
		      on_task_reply, sent);
}

void task_send_words(struct store_task *t, const char *word, const char *key, task_reply_fn got)
{
	struct store_command c;

	command_start(&c, word);
	if (key)
		command_text(&c, key);
	task_send(t, &c, got);
}

void task_multi(struct store_task *t)
{
	task_send_words(t, "MULTI", NULL, NULL);
}

static void fail_in_exec(struct store_task *t, const char *text)
{
	task_fail(t, text);
	refusal_note(t->zone->store, t, "EXEC", text);
}

/* One command of a transaction may fail and leave the others standing. */
static void got_exec(struct store_task *t, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_NIL) {
		t->is_raced = true;
		return;
	}
	if (reply->type != REDIS_REPLY_ARRAY)
		task_fail(t, reply_text(reply));
	for (size_t i = 0; i < reply->elements; i++) {
		if (reply_is_error(reply->element[i]))
			fail_in_exec(t, reply_text(reply->element[i]));
	}
}

void task_exec(struct store_task *t)
{
	task_send_words(t, "EXEC", NULL, got_exec);
}

/* ---- The section between WATCH and EXEC ---- */

void section_enter(struct store *s, struct section *x)
{
	bool is_free = !s->section;

	x->after = NULL;
	if (is_free)
		s->section = x;
	else
		s->section_last->after = x;
	s->section_last = x;
	if (is_free)
		x->enter(x);
}

void section_leave(struct store *s)
{
	assert(s->section);
	s->section = s->section->after;
	if (s->section)
		s->section->enter(s->section);
}
