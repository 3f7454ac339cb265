/* SPDX-License-Identifier: ISC */
/*
 * A connection may not be freed inside its own callbacks, so those note what they heard and
 * `step` goes on from the loop: to the next sentinel, or to the end.
 */
#include "cache/redis_sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"
#include "cache/redis_reply.h"

enum { REASON_MAX = 200 };

struct sentinel {
	struct ev_loop *loop;
	struct redis_conf conf;		/* of the whole: sentinels, master, deadlines, TLS */
	sentinel_found_fn found;
	void *arg;
	struct redis *asked;		/* NULL: not asking */
	unsigned at, tried;		/* index of whom we ask; how many did not know */
	ev_timer step;
	bool is_known;
	struct address master;
	char reason[REASON_MAX];
};

static void step_soon(struct sentinel *s)
{
	if (ev_is_active(&s->step))
		return;
	ev_timer_set(&s->step, 0., 0.);
	ev_timer_start(s->loop, &s->step);
}

static void note(struct sentinel *s, const char *reason)
{
	char text[ADDRESS_TEXT_MAX];

	snprintf(s->reason, sizeof(s->reason), "sentinel %.50s: %.90s",
		 address_to_text(&s->conf.sentinel.addresses[s->at], text), reason);
	step_soon(s);
}

static bool is_short(const redisReply *reply, size_t room)
{
	return reply->type == REDIS_REPLY_STRING && reply->len < room &&
	       !memchr(reply->str, 0, reply->len);
}

/* The reply is host and port; nil when there is no such master. */
static void on_answer(const redisReply *reply, void *arg)
{
	struct sentinel *s = arg;
	char text[ADDRESS_TEXT_MAX + 8];
	uint64_t port;

	if (!reply)
		return;		/* the connection ended: on_state() hears why */
	if (reply->type == REDIS_REPLY_NIL) {
		note(s, "knows no master of this name");
		return;
	}
	if (!reply_is_array(reply, 2) || !is_short(reply->element[0], ADDRESS_TEXT_MAX) ||
	    !reply_number(reply->element[1], &port) || port == 0 || port > UINT16_MAX) {
		note(s, reply_text(reply));
		return;
	}
	snprintf(text, sizeof(text), strchr(reply->element[0]->str, ':') ? "[%s]:%u" : "%s:%u",
		 reply->element[0]->str, (unsigned)port);
	s->is_known = address_from_text(text, (uint16_t)port, &s->master);
	snprintf(s->reason, sizeof(s->reason), "Sentinel names the master by a host name: %.80s",
		 reply->element[0]->str);
	step_soon(s);
}

static void on_state(bool up, const char *reason, void *arg)
{
	static const char *words[] = { "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NULL };
	struct sentinel *s = arg;
	const char *argv[] = { words[0], words[1], s->conf.sentinel.master };
	const size_t len[] = { strlen(argv[0]), strlen(argv[1]), strlen(argv[2]) };

	if (up)
		redis_command(s->asked, 3, argv, len, on_answer, s);
	else if (!ev_is_active(&s->step))	/* else it has answered, and hung up */
		note(s, reason);
}

static void ask_one(struct sentinel *s)
{
	const struct redis_sentinel_conf *c = &s->conf.sentinel;
	struct redis_conf one = {
		.address = c->addresses[s->at], .connect_ms = s->conf.connect_ms,
		.command_ms = s->conf.command_ms, .queue_max = s->conf.queue_max,
		.tls = s->conf.tls,
	};

	snprintf(one.username, sizeof(one.username), "%s", c->username);
	snprintf(one.password, sizeof(one.password), "%s", c->password);
	s->asked = redis_new(s->loop, &one, on_state, s);
	redis_start(s->asked);
}

static void end(struct sentinel *s)
{
	s->found(s->is_known ? &s->master : NULL, s->is_known ? NULL : s->reason, s->arg);
}

static void on_step(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct sentinel *s = w->data;

	(void)loop;
	(void)revents;
	redis_free(s->asked);
	s->asked = NULL;
	if (s->is_known) {
		end(s);
		return;
	}
	sentinel_distrust(s);
	if (++s->tried < s->conf.sentinel.count)
		ask_one(s);
	else
		end(s);
}

struct sentinel *sentinel_new(struct ev_loop *loop, const struct redis_conf *conf,
			      sentinel_found_fn found, void *arg)
{
	struct sentinel *s = memory_zeroed(1, sizeof(*s));

	s->loop = loop;
	s->conf = *conf;
	s->found = found;
	s->arg = arg;
	ev_timer_init(&s->step, on_step, 0., 0.);
	s->step.data = s;
	return s;
}

void sentinel_free(struct sentinel *s)
{
	if (!s)
		return;
	redis_free(s->asked);
	ev_timer_stop(s->loop, &s->step);
	free(s);
}

void sentinel_ask(struct sentinel *s)
{
	if (s->asked)
		return;
	s->is_known = false;
	s->tried = 0;
	ask_one(s);
}

void sentinel_distrust(struct sentinel *s)
{
	s->at = (s->at + 1) % s->conf.sentinel.count;
}
