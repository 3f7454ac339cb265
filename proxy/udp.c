/* SPDX-License-Identifier: ISC */
#include "proxy/udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/dns.h"
#include "cache/memory.h"

enum {
	LISTENERS_MAX = 2 * CONF_LISTEN_MAX,	/* new ones, and old ones that still owe answers */
	STOP_LINGER_US = 5000000,	/* no query waits longer: the most that give-up may be */
	BATCH_MAX = 64,			/* packets moved by one system call */
	CROWDED = 8,			/* packets at once: more have come while these were answered */
	BATCHES_MAX = 4,		/* for each wake-up: then the others run */
	DRAIN_BATCHES_MAX = 1024,	/* when a listener closes */
	QUERY_BYTES = 4096,		/* longer queries by UDP are cut, hence malformed */
	APART = 64,			/* a whole page on, all would fall into one set of the cache */
	SOCKET_BUFFER = 4 << 20,
	WHOLE_MAX = DNS_EDNS_SIZE,	/* what any network carries in one piece */
	CONTROL_LEN = CMSG_SPACE(sizeof(struct in6_pktinfo)),
};

struct listener {
	ev_io io;
	struct udp *owner;
	bool is_open;			/* else the slot is free */
	bool is_wildcard;
	unsigned index;
	uint32_t serial;		/* changes when the slot changes hands */
	uint64_t close_us;		/* stopped; UINT64_MAX: listening */
	struct address address;
};

/* One direction of a batch: everything that recvmmsg or sendmmsg points to. */
struct batch {
	struct mmsghdr messages[BATCH_MAX];
	struct iovec parts[BATCH_MAX];
	struct sockaddr_in6 names[BATCH_MAX];	/* room for either family */
	_Alignas(struct cmsghdr) uint8_t control[BATCH_MAX][CONTROL_LEN];
};

struct udp {
	struct ev_loop *loop;
	struct dispatch *dispatch;
	void (*flush)(void *arg);
	void *arg;
	struct listener listeners[LISTENERS_MAX];
	unsigned slot_count;		/* those behind have never been used */
	struct batch in, out;
	unsigned in_used;		/* messages that the kernel wrote into: the rest are as they were made */
	bool in_has_control;		/* for a wildcard's */
	uint8_t in_bytes[BATCH_MAX][QUERY_BYTES + APART];
	struct arrival arrivals[BATCH_MAX];
	uint8_t out_bytes[BATCH_MAX][DNS_EDNS_SIZE];	/* answers of our own; others are borrowed */
	unsigned queued;
	unsigned queued_for;		/* the listener that all of them leave from */
	bool has_long;			/* some are over WHOLE_MAX: servers' */
};

static void batch_init(struct batch *b)
{
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		b->messages[i].msg_hdr.msg_name = &b->names[i];
		b->messages[i].msg_hdr.msg_iov = &b->parts[i];
		b->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

struct udp *udp_new(struct ev_loop *loop, struct dispatch *dispatch, void (*flush)(void *arg),
		    void *arg)
{
	struct udp *u = memory_zeroed(1, sizeof(*u));

	u->loop = loop;
	u->dispatch = dispatch;
	u->flush = flush;
	u->arg = arg;
	batch_init(&u->in);
	batch_init(&u->out);
	for (unsigned i = 0; i < BATCH_MAX; i++)
		u->in.parts[i] = (struct iovec){ u->in_bytes[i], QUERY_BYTES };
	u->in_used = BATCH_MAX;
	return u;
}

void udp_free(struct udp *u)
{
	if (!u)
		return;
	for (unsigned i = 0; i < LISTENERS_MAX; i++)
		if (u->listeners[i].is_open)
			close(u->listeners[i].io.fd);
	free(u);
}

/* ---- Sockets ---- */

void udp_set_buffers(int fd, int size)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/*
 * Forged ICMP must not make us fragment (RFC 9715), so the MTU of the interface alone counts. Of IPv4 what
 * any network carries whole says so (DF): the kernel need not make a number for it then by which its
 * fragments would be told apart from others'. Longer answers may be split, as they would without us,
 * and so may all that leave in one batch with them. Of IPv6 nobody on the way splits anything.
 */
static void set_splitting(int fd, const struct address *from, bool may_split)
{
	int how = may_split ? IP_PMTUDISC_OMIT : IP_PMTUDISC_PROBE;

	if (from->storage.ss_family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof(how));
}

static int set_options(int fd, const struct address *address)
{
	int on = 1, omit = IP_PMTUDISC_OMIT;
	bool is_v6 = address->storage.ss_family == AF_INET6;

	udp_set_buffers(fd, SOCKET_BUFFER);
	set_splitting(fd, address, false);
	if (is_v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &omit, sizeof(omit));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	if (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (!address_is_any(address))
		return 0;
	if (is_v6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0 ? -errno : 0;
	return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0 ? -errno : 0;
}

int udp_bind(const struct address *address)
{
	int fd = socket(address->storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -errno;
	result = set_options(fd, address);
	if (result == 0 && bind(fd, (const struct sockaddr *)&address->storage, address->len) < 0)
		result = -errno;
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

/* ---- Answers ---- */

void udp_flush(struct udp *u)
{
	const struct listener *l = &u->listeners[u->queued_for];
	bool may_split = u->has_long;
	unsigned sent = 0;

	if (may_split)
		set_splitting(l->io.fd, &l->address, true);
	while (sent < u->queued) {
		int n = sendmmsg(l->io.fd, u->out.messages + sent, u->queued - sent, MSG_DONTWAIT);

		if (n > 0) {
			sent += (unsigned)n;
		} else if (errno == EMSGSIZE && !may_split) {	/* an interface for less than others */
			may_split = true;
			set_splitting(l->io.fd, &l->address, true);
		} else if (errno != EINTR) {	/* the first one is at fault: the rest may pass */
			counter_add(&u->dispatch->stats->udp_send_errors, 1);
			sent++;
		}
	}
	if (may_split)
		set_splitting(l->io.fd, &l->address, false);
	u->queued = 0;
	u->has_long = false;
}

uint8_t *udp_room(struct udp *u, size_t want)
{
	assert(want <= DNS_EDNS_SIZE);
	if (u->queued == BATCH_MAX)
		udp_flush(u);
	return u->out_bytes[u->queued];
}

/* The source address of the answer is the one that was asked. */
static void put_source(struct msghdr *m, uint8_t *control, const struct client *to)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;

	if (to->interface == 0) {
		m->msg_control = NULL;
		m->msg_controllen = 0;
		return;
	}
	m->msg_control = control;
	if (to->address.sa.sa_family == AF_INET) {
		struct in_pktinfo info = { .ipi_ifindex = 0 };

		memcpy(&info.ipi_spec_dst, &to->local, sizeof(info.ipi_spec_dst));
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO };
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		m->msg_controllen = CMSG_SPACE(sizeof(info));
	} else {
		struct in6_pktinfo info = { to->local, 0 };

		if (IN6_IS_ADDR_LINKLOCAL(&to->local))
			info.ipi6_ifindex = to->interface;
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO };
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		m->msg_controllen = CMSG_SPACE(sizeof(info));
	}
}

static bool owes_to(const struct udp *u, const struct client *to)
{
	const struct listener *l = &u->listeners[to->listener];

	return l->is_open && l->serial == to->connection_serial;
}

void udp_answer(struct udp *u, const struct client *to, const uint8_t *bytes, size_t len)
{
	struct msghdr *m;

	if (u->queued == BATCH_MAX || (u->queued > 0 && u->queued_for != to->listener)) {
		/* An answer of our own stands in the slot after the last: keep it in the first. */
		bool is_own = u->queued < BATCH_MAX && bytes == u->out_bytes[u->queued];

		udp_flush(u);
		if (is_own) {
			memcpy(u->out_bytes[0], bytes, len);
			bytes = u->out_bytes[0];
		}
	}
	if (!owes_to(u, to)) {		/* a reload took the listener away */
		counter_add(&u->dispatch->stats->dropped_closed, 1);
		return;
	}
	u->queued_for = to->listener;
	u->has_long |= len > WHOLE_MAX;
	m = &u->out.messages[u->queued].msg_hdr;
	memcpy(&u->out.names[u->queued], &to->address, sizeof(to->address));
	m->msg_namelen = to->address.sa.sa_family == AF_INET ? sizeof(struct sockaddr_in)
							      : sizeof(struct sockaddr_in6);
	u->out.parts[u->queued] = (struct iovec){ (void *)(uintptr_t)bytes, len };
	put_source(m, u->out.control[u->queued], to);
	u->queued++;
}

/* ---- Queries ---- */

static void take_source(struct msghdr *m, struct client *from)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			memcpy(&from->local, &info.ipi_addr, sizeof(info.ipi_addr));
			from->interface = (uint32_t)info.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			from->local = info.ipi6_addr;
			from->interface = info.ipi6_ifindex;
		}
	}
}

static bool has_port_zero(const struct client *from)
{
	return from->address.sa.sa_family == AF_INET ? from->address.v4.sin_port == 0
						     : from->address.v6.sin6_port == 0;
}

/* False: nobody can be answered there. */
static bool take_query(struct udp *u, struct listener *l, unsigned i, struct arrival *a)
{
	a->packet = u->in_bytes[i];
	a->len = u->in.messages[i].msg_len;
	a->client = (struct client){ .listener = (uint16_t)l->index, .connection_serial = l->serial };
	memcpy(&a->client.address, &u->in.names[i], sizeof(a->client.address));
	if (l->is_wildcard)
		take_source(&u->in.messages[i].msg_hdr, &a->client);
	if (!has_port_zero(&a->client))
		return true;
	counter_add(&u->dispatch->stats->queries_udp, 1);
	counter_add(&u->dispatch->stats->dropped_malformed, 1);
	return false;
}

static void make_messages(struct udp *u, bool has_control)
{
	unsigned count = has_control == u->in_has_control ? u->in_used : BATCH_MAX;

	for (unsigned i = 0; i < count; i++) {
		u->in.messages[i].msg_hdr.msg_namelen = sizeof(u->in.names[i]);
		u->in.messages[i].msg_hdr.msg_control = has_control ? u->in.control[i] : NULL;
		u->in.messages[i].msg_hdr.msg_controllen = has_control ? CONTROL_LEN : 0;
	}
	u->in_has_control = has_control;
}

/* One batch. How many packets it had; fewer than BATCH_MAX, or -1: that was all. */
static int read_batch(struct udp *u, struct listener *l)
{
	unsigned taken = 0;
	int n;

	make_messages(u, l->is_wildcard);
	n = recvmmsg(l->io.fd, u->in.messages, BATCH_MAX, MSG_DONTWAIT, NULL);
	u->in_used = n > 0 ? (unsigned)n : 0;
	for (int i = 0; i < n; i++)
		taken += take_query(u, l, (unsigned)i, &u->arrivals[taken]);
	dispatch_queries(u->dispatch, u->arrivals, taken);
	u->flush(u->arg);
	return n;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct listener *l = list_entry(io, struct listener, io);

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < BATCHES_MAX && read_batch(l->owner, l) >= CROWDED; i++)
		;
}

/*
 * How well a listener suits a query to this address; 0: not at all. One that a reload has stopped
 * comes last: what arrived before the program in the kernel knew of it is answered, too.
 */
static unsigned suits(const struct listener *l, const struct in6_addr *asked, uint16_t port,
		      bool is_v6)
{
	const void *storage = &l->address.storage;
	const struct sockaddr_in6 *v6 = storage;
	const struct sockaddr_in *v4 = storage;

	if (!l->is_open || address_port(&l->address) != port ||
	    l->address.storage.ss_family != (is_v6 ? AF_INET6 : AF_INET))
		return 0;
	if (!l->is_wildcard && (is_v6 ? memcmp(&v6->sin6_addr, asked, 16)
				      : memcmp(&v4->sin_addr, asked, 4)) != 0)
		return 0;
	return (l->close_us == UINT64_MAX ? 3u : 1u) + (l->is_wildcard ? 0 : 1);
}

bool udp_adopt(struct udp *u, const struct in6_addr *asked, uint16_t port, unsigned interface,
	       struct client *c)
{
	bool is_v6 = c->address.sa.sa_family == AF_INET6;
	const struct listener *found = NULL;
	unsigned best = 0;

	for (unsigned i = 0; i < u->slot_count; i++) {
		unsigned n = suits(&u->listeners[i], asked, port, is_v6);

		if (n > best) {
			best = n;
			found = &u->listeners[i];
		}
	}
	if (!found)
		return false;
	c->listener = (uint16_t)found->index;
	c->connection_serial = found->serial;
	if (found->is_wildcard) {
		c->local = *asked;
		c->interface = interface;
	}
	return true;
}

static struct listener *find_listener(struct udp *u, const struct address *address, bool is_stopped)
{
	for (unsigned i = 0; i < LISTENERS_MAX; i++) {
		struct listener *l = &u->listeners[i];

		if (l->is_open && (l->close_us != UINT64_MAX) == is_stopped
		    && address_is_equal(&l->address, address))
			return l;
	}
	return NULL;
}

static void listener_close(struct listener *l)
{
	udp_flush(l->owner);
	close(l->io.fd);
	l->is_open = false;
	l->serial++;
}

/* A slot for one more: a free one, or that of the listener which was stopped first. */
static struct listener *take_slot(struct udp *u)
{
	struct listener *first = &u->listeners[0];

	for (unsigned i = 0; i < LISTENERS_MAX; i++) {
		struct listener *l = &u->listeners[i];

		l->index = i;
		if (!l->is_open)
			return l;
		if (l->close_us < first->close_us)
			first = l;
	}
	assert(first->close_us != UINT64_MAX);	/* CONF_LISTEN_MAX of them listen at the most */
	listener_close(first);
	return first;
}

/*
 * An address that comes back while its old socket lingers: the kernel has shared the queries
 * out between the two. The old one's are read, and its answers leave by the new one.
 */
static void drain_old(struct udp *u, struct listener *l)
{
	for (unsigned i = 0; i < DRAIN_BATCHES_MAX && read_batch(u, l) == BATCH_MAX; i++)
		;
	udp_flush(u);
	close(l->io.fd);
}

void udp_start(struct udp *u, int fd, const struct address *address)
{
	struct listener *l = find_listener(u, address, true);

	if (l)
		drain_old(u, l);
	else
		l = take_slot(u);
	if (l->index >= u->slot_count)
		u->slot_count = l->index + 1;
	l->owner = u;
	l->is_open = true;
	l->is_wildcard = address_is_any(address);
	l->close_us = UINT64_MAX;
	l->address = *address;
	ev_io_init(&l->io, on_readable, fd, EV_READ);
	ev_io_start(u->loop, &l->io);
}

static void stop(struct listener *l)
{
	ev_io_stop(l->owner->loop, &l->io);
	l->close_us = l->owner->dispatch->now_us + STOP_LINGER_US;
	for (unsigned i = 0; i < DRAIN_BATCHES_MAX && read_batch(l->owner, l) == BATCH_MAX; i++)
		;
}

void udp_stop(struct udp *u, const struct address *address)
{
	struct listener *l = find_listener(u, address, false);

	if (l)
		stop(l);
}

void udp_stop_all(struct udp *u)
{
	for (unsigned i = 0; i < LISTENERS_MAX; i++)
		if (u->listeners[i].is_open && u->listeners[i].close_us == UINT64_MAX)
			stop(&u->listeners[i]);
}

void udp_sweep(struct udp *u)
{
	for (unsigned i = 0; i < LISTENERS_MAX; i++) {
		struct listener *l = &u->listeners[i];

		if (l->is_open && l->close_us <= u->dispatch->now_us)
			listener_close(l);
	}
}
