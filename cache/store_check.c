/* SPDX-License-Identifier: ISC */
/*
 * What Redis lets us see of its settings, at each connect and once a minute. A user who may not
 * look is not told of it: the zones do not depend on it. CONFIG is asked for once, then, since
 * Redis notes each refusal in its ACL LOG.
 */
#include <string.h>

#include "cache/store_parts.h"

#define CHECK_EVERY_S	60.

static void send_check(struct store *s, int argc, const char **argv, redis_reply_fn done)
{
	size_t len[3];

	for (int i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	redis_command(s->redis, argc, argv, len, done, s);
}

static void judge(struct store *s)
{
	struct store_check *c = &s->check;

	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		struct store_finding f;
		bool is_bad = settings_judge(&c->settings, (enum store_setting)i, &f);

		if (is_bad == c->is_bad[i])
			continue;
		c->is_bad[i] = is_bad;
		s->listener->on_setting(&f, is_bad, s->arg);
	}
}

static void on_info(const redisReply *reply, void *arg)
{
	struct store *s = arg;
	struct store_check *c = &s->check;

	c->settings = (struct store_settings){ 0 };
	c->is_seen = reply && reply->type == REDIS_REPLY_STRING;
	if (c->is_seen)
		settings_read_info(&c->settings, reply->str, reply->len);
	if (c->is_seen && c->is_config_denied && !s->is_closing)
		judge(s);
}

static bool is_pair(const redisReply *reply)
{
	return reply_is_array(reply, 2) && reply->element[0]->type == REDIS_REPLY_STRING &&
	       reply->element[1]->type == REDIS_REPLY_STRING;
}

static void on_config(const redisReply *reply, void *arg)
{
	struct store *s = arg;
	struct store_check *c = &s->check;

	if (reply && reply->type == REDIS_REPLY_ERROR)
		c->is_config_denied = true;
	if (is_pair(reply))
		settings_read_config(&c->settings, reply->element[0]->str, reply->element[1]->str);
	if (reply && c->is_seen && !s->is_closing)
		judge(s);
}

void store_check_ask(struct store *s)
{
	send_check(s, 1, (const char *[]){ "INFO" }, on_info);
	if (!s->check.is_config_denied)
		send_check(s, 3, (const char *[]){ "CONFIG", "GET", "save" }, on_config);
	ev_timer_again(s->loop, &s->check.again);
}

static void on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	store_check_ask(w->data);
}

void store_check_init(struct store *s)
{
	ev_timer_init(&s->check.again, on_again, 0., CHECK_EVERY_S);
	s->check.again.data = s;
}

void store_check_stop(struct store *s)
{
	ev_timer_stop(s->loop, &s->check.again);
}
