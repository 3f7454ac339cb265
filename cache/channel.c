/* SPDX-License-Identifier: ISC */
#include "cache/channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void channel_init(struct channel *c, struct tls_profile *profile)
{
	*c = (struct channel){ .fd = -1, .profile = tls_profile_keep(profile) };
}

void channel_fini(struct channel *c)
{
	channel_close(c);
	tls_profile_free(c->profile);
	c->profile = NULL;
}

void channel_close(struct channel *c)
{
	tls_free(c->tls);
	c->tls = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->is_connected = false;
}

static enum channel_status fail(struct channel *c, enum channel_status status, const char *what,
				int err)
{
	if (err != 0)
		snprintf(c->reason, sizeof(c->reason), "%s: %s", what, strerrordesc_np(err));
	else
		snprintf(c->reason, sizeof(c->reason), "%s", what);
	return status;
}

/* The peer is gone; `err` 0: it closed in good order. */
static enum channel_status closed(struct channel *c, int err)
{
	return fail(c, CHANNEL_CLOSED,
		    err ? "connection lost" : "primary closed the connection early", err);
}

/* ---- Connecting ---- */

enum channel_status channel_open(struct channel *c, const struct address *peer)
{
	const struct sockaddr *to = (const struct sockaddr *)&peer->storage;
	int one = 1;

	channel_close(c);
	c->wants_write = true;
	c->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return fail(c, CHANNEL_FAILED, "cannot connect", errno);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));	/* or it is slower */
	if (connect(c->fd, to, peer->len) < 0 && errno != EINPROGRESS)
		return fail(c, CHANNEL_FAILED, "cannot connect", errno);
	return CHANNEL_WAIT;
}

static enum channel_status connected(struct channel *c)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err != 0)
		return fail(c, CHANNEL_FAILED, "cannot connect", err);
	c->is_connected = true;
	if (c->profile)
		c->tls = tls_new(c->profile, c->fd);
	return CHANNEL_OK;
}

static enum channel_status from_tls(struct channel *c, enum tls_status status)
{
	switch (status) {
	case TLS_OK:
		return CHANNEL_OK;
	case TLS_WAIT:
		c->wants_write = tls_wants_write(c->tls);
		return CHANNEL_WAIT;
	case TLS_CLOSED:
		return closed(c, tls_error(c->tls));
	case TLS_FAILED:
		return fail(c, CHANNEL_FAILED, tls_reason(c->tls), 0);
	}
	return CHANNEL_FAILED;
}

enum channel_status channel_proceed(struct channel *c)
{
	enum channel_status status = c->is_connected ? CHANNEL_OK : connected(c);

	if (status != CHANNEL_OK || !c->tls)
		return status;
	status = from_tls(c, tls_handshake(c->tls));
	if (status == CHANNEL_CLOSED)
		return fail(c, CHANNEL_FAILED, "TLS: the primary closed the connection during the "
					       "handshake", tls_error(c->tls));
	return status;
}

/* ---- Bytes ---- */

/* What a system call says, in clear text. */
static enum channel_status from_call(struct channel *c, ssize_t n, bool is_write, size_t *len)
{
	if (n > 0) {
		*len = (size_t)n;
		return CHANNEL_OK;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		c->wants_write = is_write;
		return CHANNEL_WAIT;
	}
	return closed(c, n < 0 ? errno : 0);
}

enum channel_status channel_read(struct channel *c, uint8_t *to, size_t room, size_t *len)
{
	if (c->tls)
		return from_tls(c, tls_read(c->tls, to, room, len));
	return from_call(c, recv(c->fd, to, room, 0), false, len);
}

enum channel_status channel_write(struct channel *c, const uint8_t *from, size_t size, size_t *len)
{
	if (c->tls)
		return from_tls(c, tls_write(c->tls, from, size, len));
	return from_call(c, send(c->fd, from, size, MSG_NOSIGNAL), true, len);
}

bool channel_has_pending(const struct channel *c)
{
	return c->tls && tls_has_pending(c->tls);
}
