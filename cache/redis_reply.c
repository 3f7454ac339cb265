/* SPDX-License-Identifier: ISC */
#include "cache/redis_reply.h"

#include <assert.h>
#include <string.h>

static struct reply_guard *guard_of(const redisReadTask *task)
{
	assert(task->privdata);
	return task->privdata;
}

static bool refuse(struct reply_guard *g, const char *why)
{
	if (!g->refusal)
		g->refusal = why;
	return false;
}

/*
 * Counts an object before it is made. The outermost one begins a new reply, which must
 * answer some command; but an error may come unasked (too many clients), and hiredis knows.
 */
static bool admit(const redisReadTask *task, size_t elements, size_t bytes)
{
	struct reply_guard *g = guard_of(task);

	if (!task->parent) {
		g->elements = g->bytes = 0;
		if (!g->context->replies.head && task->type != REDIS_REPLY_ERROR)
			return refuse(g, "Redis sent a reply that nobody asked for");
	}
	if (elements > REPLY_ELEMENTS_MAX - g->elements)
		return refuse(g, "Redis sent a reply of too many elements");
	if (bytes > REPLY_BYTES_MAX - g->bytes)
		return refuse(g, "Redis sent a reply over the size limit");
	g->elements += elements;
	g->bytes += bytes;
	return true;
}

/* NULL makes hiredis report a lack of memory and end the connection. */
static void *make_string(const redisReadTask *task, char *text, size_t len)
{
	return admit(task, 0, len) ? guard_of(task)->inner->createString(task, text, len) : NULL;
}

static void *make_array(const redisReadTask *task, int elements)
{
	/* The reader has checked the sign: -1 is nil, less is an error. */
	assert(elements >= 0);
	return admit(task, (size_t)elements, 0)
		? guard_of(task)->inner->createArray(task, elements) : NULL;
}

static void *make_integer(const redisReadTask *task, long long value)
{
	return admit(task, 0, 0) ? guard_of(task)->inner->createInteger(task, value) : NULL;
}

static void *make_nil(const redisReadTask *task)
{
	return admit(task, 0, 0) ? guard_of(task)->inner->createNil(task) : NULL;
}

/* hiredis takes a pointer to a table that it could write to, and does not. */
static redisReplyObjectFunctions guarded = {
	.createString = make_string,
	.createArray = make_array,
	.createInteger = make_integer,
	.createNil = make_nil,
	.freeObject = freeReplyObject,
};

void reply_guard_attach(struct reply_guard *g, redisAsyncContext *ac)
{
	redisReader *reader = ac->c.reader;

	*g = (struct reply_guard){ .inner = reader->fn, .context = ac };
	reader->fn = &guarded;
	reader->privdata = g;
	reader->maxbuf = 0;	/* else the buffer is given back and grown again for each chunk */
}

bool reply_guard_has_room(struct reply_guard *g)
{
	if (g->context->c.reader->len <= REPLY_BYTES_MAX)
		return true;
	return refuse(g, "Redis sent a reply over the size limit");
}

bool reply_is_error(const redisReply *r)
{
	return !r || r->type == REDIS_REPLY_ERROR;
}

const char *reply_text(const redisReply *r)
{
	if (!r)
		return "the connection to Redis was lost";
	if (r->type == REDIS_REPLY_ERROR && r->str)
		return r->str;
	return "Redis gave a reply of an unexpected kind";
}

bool reply_is_status(const redisReply *r, const char *status)
{
	return r && r->type == REDIS_REPLY_STATUS && strcmp(r->str, status) == 0;
}

bool reply_is_string(const redisReply *r, const char *text)
{
	size_t len = strlen(text);

	return r && r->type == REDIS_REPLY_STRING && r->len == len &&
	       memcmp(r->str, text, len) == 0;
}

void reply_copy_word(const redisReply *r, char *word, size_t size)
{
	word[0] = '\0';
	if (!r || r->type != REDIS_REPLY_STRING || r->len >= size)
		return;
	for (size_t i = 0; i < r->len; i++)
		if (r->str[i] <= ' ' || r->str[i] > '~')
			return;
	memcpy(word, r->str, r->len + 1);
}

bool reply_is_array(const redisReply *r, size_t count)
{
	return r && r->type == REDIS_REPLY_ARRAY && r->elements == count;
}

bool reply_parse_number(const char *text, size_t len, uint64_t *v)
{
	uint64_t n = 0;

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)text[i] - '0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*v = n;
	return true;
}

bool reply_number(const redisReply *r, uint64_t *v)
{
	if (r && r->type == REDIS_REPLY_INTEGER && r->integer >= 0) {
		*v = (uint64_t)r->integer;
		return true;
	}
	return r && r->type == REDIS_REPLY_STRING && reply_parse_number(r->str, r->len, v);
}
