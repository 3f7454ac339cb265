/* SPDX-License-Identifier: ISC */
/*
 * AUTH, SELECT, PING until Redis has loaded its data. With sentinels ROLE, since they may be late;
 * and whoever is not ready is left, to ask them again.
 */
#include <stdio.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/redis_parts.h"

#define LOADING_S	0.25	/* between two PINGs while Redis loads */

/* NULL: the connection is lost, and redis_lose() has seen to it. */
static void on_greeted(const redisReply *reply, void *arg)
{
	struct redis *r = arg;

	if (reply && reply_is_error(reply) && r->link)
		redis_drop(r, reply->str);
}

/* Redis repeats the arguments of a command that it does not know, and the log is not for those. */
static void on_login(const redisReply *reply, void *arg)
{
	struct redis *r = arg;
	bool is_telling;

	if (!reply || !reply_is_error(reply) || !r->link)
		return;
	is_telling = strncmp(reply->str, "ERR unknown", 11) == 0 ||
		     strstr(reply->str, r->conf.password);
	redis_drop(r, is_telling ? "Redis does not take our AUTH" : reply->str);
}

/* Past these errors Redis will serve; no other goes away by itself. */
static bool is_busy(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ERROR &&
	       (strncmp(reply->str, "LOADING", 7) == 0 || strncmp(reply->str, "BUSY", 4) == 0 ||
		strncmp(reply->str, "MASTERDOWN", 10) == 0);
}

static void welcome(struct redis *r)
{
	r->state = LINK_UP;
	r->up_since_us = clock_monotonic_us();
	ev_timer_again(r->loop, &r->idle);
	redis_report(r, true, NULL);
}

static void on_role(const redisReply *reply, void *arg)
{
	struct redis *r = arg;

	if (!reply || !r->link || r->state != LINK_GREETING)
		return;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
	    reply_is_string(reply->element[0], "master")) {
		welcome(r);
		return;
	}
	sentinel_distrust(r->sentinel);
	redis_drop(r, reply_is_error(reply) ? reply->str : "whom the sentinels name is no master");
}

static void on_pong(const redisReply *reply, void *arg)
{
	struct redis *r = arg;

	if (!reply || !r->link || r->state != LINK_GREETING)
		return;
	if (is_busy(reply) && !r->sentinel) {	/* else another may be the master by then */
		redis_retry(r, LOADING_S);
		redis_report(r, false, reply->str);
	} else if (!reply_is_status(reply, "PONG")) {
		redis_drop(r, reply_is_error(reply) ? reply->str : "what answers is not Redis");
	} else if (r->sentinel) {
		redis_send_words(r, 1, (const char *[]){ "ROLE" }, on_role);
	} else {
		welcome(r);
	}
}

/* All at once: replies come in order, and the first error drops the connection. */
void greet(struct redis *r)
{
	const struct redis_conf *c = &r->conf;
	char database[12];

	if (c->password[0] && c->username[0])
		redis_send_words(r, 3, (const char *[]){ "AUTH", c->username, c->password }, on_login);
	else if (c->password[0])
		redis_send_words(r, 2, (const char *[]){ "AUTH", c->password }, on_login);
	if (c->database > 0) {
		snprintf(database, sizeof(database), "%u", c->database);
		redis_send_words(r, 2, (const char *[]){ "SELECT", database }, on_greeted);
	}
	redis_send_words(r, 1, (const char *[]){ "PING" }, on_pong);
}
