/* SPDX-License-Identifier: ISC */
/*
 * A connection reads one line, then writes until nothing is left, then ends. Writing is level
 * triggered and in bounded batches: a whole zone goes out as the reader takes it, chunk by chunk.
 * One ev_timer for each connection: STALL_S without progress closes it (a follower with nothing
 * to read may stay).
 */
#include "proxy/control.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cache/dump.h"
#include "cache/memory.h"
#include "proxy/control_follow.h"
#include "proxy/control_words.h"
#include "proxy/daemon.h"
#include "proxy/verbs.h"

enum {
	CLIENTS_MAX = 64,
	BACKLOG = 16,
	CHUNK = 32 * 1024,		/* of a dump, at a time */
	CHUNKS_MAX = 8,			/* in one turn: queries' probes wait behind us */
	FOLLOWER_MAX = 256 * 1024,	/* bytes that a follower may be behind */
};

#define STALL_S	30.
#define PAUSE_S	1.

struct client {
	struct control *control;
	int fd;
	ev_io io;
	ev_timer stall;
	bool is_follower;
	struct dump *dump;
	struct zone_listing zones;
	char *out;			/* [out_pos .. out_len) is to be sent */
	size_t out_pos, out_len, out_cap;
	struct client *prev, *next;
	size_t in_len;
	char in[WORDS_LINE_MAX + 1];
};

struct control {
	struct daemon *daemon;
	struct ev_loop *loop;
	int fd;
	ev_io listen;
	ev_timer pause;			/* out of descriptors: accepts again after it */
	ev_async lines;			/* control_follow.c has event lines */
	struct client *clients;
	unsigned client_count, follower_count;
	dev_t device;			/* of our socket file: another's is not removed */
	ino_t inode;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* ---- Clients ---- */

/* The one end of a connection. */
static void client_close(struct client *c)
{
	struct control *control = c->control;

	ev_io_stop(control->loop, &c->io);
	ev_timer_stop(control->loop, &c->stall);
	if (c->is_follower && --control->follower_count == 0)
		follow_gather(false);
	*(c->prev ? &c->prev->next : &control->clients) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	control->client_count--;
	close(c->fd);
	if (c->dump)
		dump_free(c->dump);
	free(c->out);
	free(c);
}

static void client_want(struct client *c, int events)
{
	ev_io_stop(c->control->loop, &c->io);
	ev_io_set(&c->io, c->fd, events);
	ev_io_start(c->control->loop, &c->io);
}

static void client_put(struct client *c, const char *text, size_t len)
{
	if (c->out_pos > 0) {
		memmove(c->out, c->out + c->out_pos, c->out_len - c->out_pos);
		c->out_len -= c->out_pos;
		c->out_pos = 0;
	}
	if (c->out_len + len > c->out_cap) {
		c->out_cap = c->out_len + len + CHUNK;
		c->out = realloc(c->out, c->out_cap);
		if (!c->out)
			abort();
	}
	memcpy(c->out + c->out_len, text, len);
	c->out_len += len;
}

/* Sends what there is. False when the connection is gone or the socket is full. */
static bool client_flush(struct client *c)
{
	while (c->out_pos < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_pos, c->out_len - c->out_pos, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			client_close(c);
		if (n < 0)
			return false;
		c->out_pos += (size_t)n;
		ev_timer_again(c->control->loop, &c->stall);
	}
	return true;
}

static void client_end_dump(struct client *c)
{
	dump_free(c->dump);
	c->dump = NULL;
	client_put(c, VERBS_DUMP_END, strlen(VERBS_DUMP_END));
}

static void client_put_dump(struct client *c)
{
	size_t len = 0;
	const char *text = dump_next(c->dump, CHUNK, &len);

	if (text)
		client_put(c, text, len);
	else
		client_end_dump(c);
}

/* False when the connection is gone. */
static bool client_put_zones(struct client *c)
{
	char *text = zone_listing_next(&c->zones, c->control->daemon);

	if (!text) {
		client_close(c);
		return false;
	}
	client_put(c, text, strlen(text));
	free(text);
	return true;
}

/* Writes on: the next parts of what is long, then the end; a follower waits for lines. */
static void client_write(struct client *c)
{
	for (int i = 0; i < CHUNKS_MAX; i++) {
		if (!client_flush(c))
			return;
		if (c->dump)
			client_put_dump(c);
		else if (!c->zones.is_on)
			break;
		else if (!client_put_zones(c))
			return;
	}
	if (c->dump || c->zones.is_on || c->out_pos < c->out_len)
		return;			/* the next turn goes on */
	if (!c->is_follower) {
		client_close(c);
		return;
	}
	client_want(c, EV_READ);	/* its leaving shows as end of file */
	ev_timer_stop(c->control->loop, &c->stall);
}

static void client_put_json(struct client *c, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);

	json_decref(json);
	if (!text)
		abort();
	client_put(c, text, strlen(text));
	client_put(c, "\n", 1);
	free(text);
}

static void client_answer(struct client *c, struct verb_answer *a)
{
	if (a->json)
		client_put_json(c, a->json);
	c->dump = a->dump;
	c->zones = a->zones;
	c->is_follower = a->is_followed;
	if (c->is_follower && c->control->follower_count++ == 0)
		follow_gather(true);
	client_want(c, EV_WRITE);
	ev_timer_again(c->control->loop, &c->stall);
}

static void client_run(struct client *c, size_t len)
{
	struct words words;
	struct verb_answer answer = { .json = NULL };
	const char *wrong = words_split(c->in, len, &words);

	if (wrong)
		answer.json = verbs_error("usage", "%s", wrong);
	else
		verbs_run(c->control->daemon, &words, &answer);
	client_answer(c, &answer);
}

/* The end of file ends a line too. */
static void client_read(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, WORDS_LINE_MAX - c->in_len, 0);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && c->in_len == 0)) {
		client_close(c);
		return;
	}
	c->in_len += (size_t)n;
	end = memchr(c->in, '\n', c->in_len);
	if (end || n == 0) {
		client_run(c, end ? (size_t)(end - c->in) : c->in_len);
	} else if (c->in_len == WORDS_LINE_MAX) {
		struct verb_answer answer = {
			.json = verbs_error("usage", "the line is too long"),
		};

		client_answer(c, &answer);
	}
}

/* A follower says nothing more; whatever it sends is ignored until it ends. */
static void follower_read(struct client *c)
{
	ssize_t n = recv(c->fd, c->in, WORDS_LINE_MAX, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		client_close(c);
}

static void on_client(struct ev_loop *loop, ev_io *io, int revents)
{
	struct client *c = io->data;

	(void)loop;
	if (revents & EV_WRITE)
		client_write(c);
	else if (c->is_follower)
		follower_read(c);
	else
		client_read(c);
}

static void on_stall(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop, (void)revents;
	client_close(t->data);
}

static void client_new(struct control *control, int fd)
{
	struct client *c = memory_zeroed(1, sizeof(*c));

	c->control = control;
	c->fd = fd;
	c->next = control->clients;
	if (c->next)
		c->next->prev = c;
	control->clients = c;
	control->client_count++;
	ev_io_init(&c->io, on_client, fd, EV_READ);
	c->io.data = c;
	ev_timer_init(&c->stall, on_stall, 0., STALL_S);
	c->stall.data = c;
	ev_io_start(control->loop, &c->io);
	ev_timer_again(control->loop, &c->stall);
}

/* ---- Followers ---- */

static void on_lines(struct ev_loop *loop, ev_async *a, int revents)
{
	static char text[FOLLOW_PENDING_MAX];	/* control's alone; too big for its stack */
	struct control *control = a->data;
	bool has_lost;
	size_t len = follow_take(text, &has_lost);

	(void)loop, (void)revents;
	for (struct client *c = control->clients, *next; c; c = next) {
		next = c->next;
		if (!c->is_follower)
			continue;
		if (has_lost || c->out_len - c->out_pos + len > FOLLOWER_MAX) {
			client_close(c);	/* it stalls: a gap would be a lie */
			continue;
		}
		client_put(c, text, len);
		client_want(c, EV_WRITE);
		ev_timer_again(control->loop, &c->stall);
	}
}

/* ---- The socket ---- */

static void on_connection(struct ev_loop *loop, ev_io *io, int revents)
{
	static const char full[] =
		"{\"ok\":false,\"kind\":\"refused\",\"error\":\"too many control connections\"}\n";
	struct control *control = io->data;
	int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)revents;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE) {
			ev_io_stop(loop, io);
			ev_timer_again(loop, &control->pause);
		}
		return;
	}
	if (control->client_count < CLIENTS_MAX) {
		client_new(control, fd);
		return;
	}
	(void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
	close(fd);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct control *control = t->data;

	(void)revents;
	ev_timer_stop(loop, t);
	ev_io_start(loop, &control->listen);
}

/* A socket file that nobody answers at is a leftover. 0: the path is free now. */
static int clear_path(const struct sockaddr_un *address)
{
	struct stat st;
	int fd, error;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(st.st_mode))
		return EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	close(fd);
	if (error != ECONNREFUSED)	/* EAGAIN: it lives, and is busy */
		return error == EACCES || error == EPERM ? error : EADDRINUSE;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? errno : 0;
}

/* 0 or an errno. The file has its mode before anyone can connect. */
static int bind_path(struct control *control)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int error;

	memcpy(address.sun_path, control->path, sizeof(control->path));
	error = clear_path(&address);
	if (error)
		return error;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (control->fd < 0)
		return errno;
	(void)!fchmod(control->fd, 0660);	/* Linux gives the file this mode, less umask */
	if (bind(control->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno;
	if (stat(control->path, &st) == 0) {
		control->device = st.st_dev;
		control->inode = st.st_ino;
	}
	if (chmod(control->path, 0660) < 0 || listen(control->fd, BACKLOG) < 0)
		return errno;
	return 0;
}

struct control *control_new(struct daemon *d, const char *path)
{
	struct control *control;
	int error;

	if (strlen(path) >= sizeof(control->path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	control = memory_zeroed(1, sizeof(*control));
	control->daemon = d;
	control->loop = d->loop;
	control->fd = -1;
	memcpy(control->path, path, strlen(path));
	ev_io_init(&control->listen, on_connection, -1, EV_READ);
	ev_timer_init(&control->pause, on_pause_over, 0., PAUSE_S);
	ev_async_init(&control->lines, on_lines);
	error = bind_path(control);
	if (error) {
		control_free(control);
		errno = error;
		return NULL;
	}
	control->listen.data = control->pause.data = control->lines.data = control;
	ev_io_set(&control->listen, control->fd, EV_READ);
	ev_io_start(control->loop, &control->listen);
	ev_async_start(control->loop, &control->lines);
	follow_start(control->loop, &control->lines);
	return control;
}

void control_free(struct control *control)
{
	struct stat st;

	if (!control)
		return;
	if (ev_is_active(&control->lines))
		follow_stop();
	while (control->clients)
		client_close(control->clients);
	ev_io_stop(control->loop, &control->listen);
	ev_timer_stop(control->loop, &control->pause);
	ev_async_stop(control->loop, &control->lines);
	if (control->fd >= 0)
		close(control->fd);
	if (control->inode && stat(control->path, &st) == 0 && st.st_dev == control->device &&
	    st.st_ino == control->inode)
		unlink(control->path);
	free(control);
}
