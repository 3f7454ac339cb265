/* SPDX-License-Identifier: ISC */
/* What a hostile Redis may send, through hiredis' reader behind the guard. */
#include <stdlib.h>
#include <string.h>

#include "cache/redis_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const redisReply *r)
{
	uint64_t v;

	if (reply_is_error(r) || reply_is_status(r, "OK") || reply_is_string(r, "OK"))
		return;
	reply_number(r, &v);
	for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++)
		look_at(r->element[i]);
}

/* The first byte says how the rest is cut into pieces, and whether anything was asked. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static redisCallback asked;
	size_t step = size > 0 ? 1 + (data[0] & 0x7f) : 1;
	redisAsyncContext context;
	struct reply_guard guard;
	void *reply = NULL;
	int status = REDIS_OK;

	memset(&context, 0, sizeof(context));
	context.c.reader = redisReaderCreate();
	context.replies.head = size > 0 && data[0] & 0x80 ? NULL : &asked;
	reply_guard_attach(&guard, &context);
	for (size_t at = 1; at < size && status == REDIS_OK; at += step) {
		size_t len = size - at < step ? size - at : step;

		if (redisReaderFeed(context.c.reader, (const char *)data + at, len) != REDIS_OK)
			break;
		while ((status = redisReaderGetReply(context.c.reader, &reply)) == REDIS_OK && reply) {
			if (!context.replies.head && ((redisReply *)reply)->type != REDIS_REPLY_ERROR)
				abort();
			look_at(reply);
			freeReplyObject(reply);
			reply = NULL;
		}
	}
	redisReaderFree(context.c.reader);
	return 0;
}
