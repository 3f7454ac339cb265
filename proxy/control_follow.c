/* SPDX-License-Identifier: ISC */
#include "proxy/control_follow.h"

#include <pthread.h>
#include <string.h>

#include "cache/event.h"

/* The log has one listener, so there is one of these. */
static struct follow {
	pthread_mutex_t mutex;
	struct ev_loop *loop;
	ev_async *wake;
	bool is_wanted, has_lost;
	size_t pending_len;
	char pending[FOLLOW_PENDING_MAX];
	unsigned recent_count;		/* ever */
	char recent[FOLLOW_RECENT][1024];
} follow = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* event=NAME or {"event":"NAME", whatever the style. */
static bool is_of_health(const char *line, size_t len)
{
	static const char *const names[] = { "backend_", "failover", "failback", "drill_", "divergence" };
	char head[32] = "";
	const char *value;

	memcpy(head, line, len < sizeof(head) - 1 ? len : sizeof(head) - 1);
	value = strpbrk(head, "=:");
	if (!value)
		return false;
	value += 1 + strspn(value + 1, "\" ");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(value, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static void keep_recent(const char *line, size_t len)
{
	char *slot = follow.recent[follow.recent_count++ % FOLLOW_RECENT];
	size_t room = sizeof(follow.recent[0]) - 1;

	while (len > 0 && line[len - 1] == '\n')
		len--;
	if (len > room)
		len = room;
	memcpy(slot, line, len);
	slot[len] = '\0';
}

static void gather(const char *line, size_t len)
{
	if (len > FOLLOW_PENDING_MAX - follow.pending_len) {
		follow.has_lost = true;
		return;
	}
	memcpy(follow.pending + follow.pending_len, line, len);
	follow.pending_len += len;
	ev_async_send(follow.loop, follow.wake);
}

/* Under the log's mutex: quick, and no event of its own. */
static void hear(const char *line, size_t len, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&follow.mutex);
	if (is_of_health(line, len))
		keep_recent(line, len);
	if (follow.is_wanted)
		gather(line, len);
	pthread_mutex_unlock(&follow.mutex);
}

void follow_start(struct ev_loop *loop, ev_async *wake)
{
	follow.loop = loop;
	follow.wake = wake;
	event_listen(hear, NULL);
}

void follow_stop(void)
{
	event_listen(NULL, NULL);
	follow_gather(false);
}

void follow_gather(bool is_wanted)
{
	pthread_mutex_lock(&follow.mutex);
	follow.is_wanted = is_wanted;
	if (!is_wanted)
		follow.pending_len = 0;
	pthread_mutex_unlock(&follow.mutex);
}

size_t follow_take(char text[FOLLOW_PENDING_MAX], bool *lost)
{
	size_t len;

	pthread_mutex_lock(&follow.mutex);
	len = follow.pending_len;
	memcpy(text, follow.pending, len);
	*lost = follow.has_lost;
	follow.pending_len = 0;
	follow.has_lost = false;
	pthread_mutex_unlock(&follow.mutex);
	return len;
}

json_t *follow_recent(void)
{
	json_t *all = json_array();

	pthread_mutex_lock(&follow.mutex);
	unsigned first =
		follow.recent_count > FOLLOW_RECENT ? follow.recent_count - FOLLOW_RECENT : 0;

	for (unsigned i = first; i < follow.recent_count; i++)
		json_array_append_new(all, json_string(follow.recent[i % FOLLOW_RECENT]));
	pthread_mutex_unlock(&follow.mutex);
	return all;
}
