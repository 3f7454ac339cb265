/* SPDX-License-Identifier: ISC */
#include "proxy/xdp.h"

#include <errno.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xdp/xsk.h>

#include "cache/dns.h"
#include "cache/memory.h"
#include "proxy/xdp_frame.h"
#include "proxy/xdp_maps.h"

/*
 * The memory of a queue is cut into frames. One half is for queries: all of them lie in the fill
 * ring, come back in the receive ring, and return to the fill ring when their batch is answered.
 * The other half is for answers: `spare`, then the transmit ring, then the completion ring.
 * The kernel shows late what it has taken out of a ring, hence rings with twice the places.
 */

enum {
	FRAME_SIZE = 2048,
	QUERY_FRAMES = 2048,		/* powers of two */
	ANSWER_FRAMES = 2048,
	AREA_SIZE = (QUERY_FRAMES + ANSWER_FRAMES) * FRAME_SIZE,
	BATCH_BITS = 6,
	BATCH_MAX = 1 << BATCH_BITS,
	BATCHES_MAX = 4,		/* for each wake-up: then the others run */
	SPARE_LOW = 2 * BATCH_MAX,	/* so few: look what has been sent */
	KICKS_MAX = 8,			/* each sends 32 of the queued answers */
	RETRY_MS = 1,			/* when it did not take them all */
	SEND_BUFFER = 4 << 20,
};

struct xdp_queue {
	ev_io io;
	ev_timer retry;			/* answers are left in the ring */
	struct xdp *owner;
	struct xsk_socket *socket;
	struct xsk_umem *umem;
	uint8_t *area;
	struct xsk_ring_cons received, sent;
	struct xsk_ring_prod answers, fill;
	uint64_t spare[ANSWER_FRAMES];	/* addresses in `area` */
	unsigned spare_count;
	unsigned queued;		/* answers that the kernel has not been told of */
	unsigned interface;
	atomic_uint next_mtu;		/* control's */
	unsigned mtu;			/* of the batch at hand: what fitted goes on to fit */
};

struct xdp {
	struct ev_loop *loop;
	struct dispatch *dispatch;
	struct udp *udp;
	void (*flush)(void *arg);
	void *arg;
	struct xdp_queue *queues[XDP_QUEUES_MAX];
	unsigned queue_count;
	struct xdp_queue *current;	/* whose batch is at hand; NULL: none is */
	uint32_t batch;			/* its number; client.frame: it, then the place in `frames` */
	uint64_t addresses[BATCH_MAX];
	struct xdp_frame frames[BATCH_MAX];
	struct arrival arrivals[BATCH_MAX];
};

/* ---- Sockets ---- */

/* Query frames for the kernel to fill. */
static void give_back(struct xdp_queue *q, const uint64_t *addresses, unsigned count)
{
	uint32_t at;

	if (xsk_ring_prod__reserve(&q->fill, count, &at) != count)
		abort();
	for (unsigned i = 0; i < count; i++)
		*xsk_ring_prod__fill_addr(&q->fill, at + i) = addresses[i];
	xsk_ring_prod__submit(&q->fill, count);
}

static void put_frames(struct xdp_queue *q)
{
	for (uint64_t i = 0; i < QUERY_FRAMES; i++) {
		uint64_t address = i * FRAME_SIZE;

		give_back(q, &address, 1);
	}
	for (uint64_t i = 0; i < ANSWER_FRAMES; i++)
		q->spare[q->spare_count++] = (QUERY_FRAMES + i) * FRAME_SIZE;
}

static int open_rings(struct xdp_queue *q, const char *interface, unsigned queue, bool is_generic)
{
	static const struct xsk_umem_config memory = {
		.fill_size = 2 * QUERY_FRAMES, .comp_size = 2 * ANSWER_FRAMES,
		.frame_size = FRAME_SIZE,
	};
	const struct xsk_socket_config rings = {
		.rx_size = 2 * QUERY_FRAMES, .tx_size = 2 * ANSWER_FRAMES,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		/* A driver without the program would take frames of ours, and never send them. */
		.bind_flags = XDP_USE_NEED_WAKEUP | (is_generic ? XDP_COPY : 0),
	};
	int size = SEND_BUFFER, result;

	q->area = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (q->area == MAP_FAILED) {
		q->area = NULL;
		return -errno;
	}
	result = xsk_umem__create(&q->umem, q->area, AREA_SIZE, &q->fill, &q->sent, &memory);
	if (result < 0)
		return result;
	put_frames(q);		/* first: drivers take theirs when the socket is bound */
	result = xsk_socket__create(&q->socket, interface, queue, q->umem, &q->received, &q->answers,
				    &rings);
	if (result == 0)
		setsockopt(xsk_socket__fd(q->socket), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return result;
}

struct xdp_queue *xdp_queue_open(const char *interface, unsigned queue, bool is_generic)
{
	struct xdp_queue *q = memory_zeroed(1, sizeof(*q));
	int result = open_rings(q, interface, queue, is_generic);

	if (result < 0) {
		xdp_queue_close(q);
		errno = -result;
		return NULL;
	}
	q->interface = if_nametoindex(interface);
	return q;
}

int xdp_queue_fd(const struct xdp_queue *q)
{
	return xsk_socket__fd(q->socket);
}

void xdp_queue_set_mtu(struct xdp_queue *q, unsigned mtu)
{
	atomic_store_explicit(&q->next_mtu, mtu, memory_order_relaxed);
}

void xdp_queue_close(struct xdp_queue *q)
{
	if (!q)
		return;
	if (q->socket)
		xsk_socket__delete(q->socket);
	if (q->umem)
		xsk_umem__delete(q->umem);
	if (q->area)
		munmap(q->area, AREA_SIZE);
	free(q);
}

/* ---- Answers ---- */

static void reclaim(struct xdp_queue *q)
{
	uint32_t at, n = xsk_ring_cons__peek(&q->sent, ANSWER_FRAMES, &at);

	for (uint32_t i = 0; i < n; i++)
		q->spare[q->spare_count++] = *xsk_ring_cons__comp_addr(&q->sent, at + i);
	if (n > 0)
		xsk_ring_cons__release(&q->sent, n);
}

static bool has_room(struct xdp_queue *q, const struct xdp_frame *f, size_t len)
{
	return q->spare_count > 0 && xsk_prod_nb_free(&q->answers, 1) > 0 &&
	       f->head_len - XDP_ETHERNET_LEN + len <= q->mtu && f->head_len + len <= FRAME_SIZE;
}

/* The client's frame, if it is of the batch at hand and `len` bytes of answer fit. */
static const struct xdp_frame *frame_of(struct xdp *x, const struct client *to, size_t len)
{
	const struct xdp_frame *f = &x->frames[to->frame % BATCH_MAX];

	if (!x->current || to->frame >> BATCH_BITS != x->batch || !has_room(x->current, f, len))
		return NULL;
	return f;
}

static uint8_t *next_spare(const struct xdp_queue *q)
{
	return q->area + q->spare[q->spare_count - 1];
}

uint8_t *xdp_room(struct xdp *x, const struct client *to, size_t want)
{
	const struct xdp_frame *f = frame_of(x, to, want);

	return f ? next_spare(x->current) + f->head_len : NULL;
}

bool xdp_answer(struct xdp *x, const struct client *to, const uint8_t *bytes, size_t len)
{
	const struct xdp_frame *f = frame_of(x, to, len);
	struct xdp_queue *q = x->current;
	struct xdp_desc *d;
	uint8_t *frame;
	uint32_t at;

	if (!f || xsk_ring_prod__reserve(&q->answers, 1, &at) != 1)
		return false;
	frame = next_spare(q);
	if (bytes != frame + f->head_len)
		memcpy(frame + f->head_len, bytes, len);
	d = xsk_ring_prod__tx_desc(&q->answers, at);
	*d = (struct xdp_desc){ .addr = q->spare[--q->spare_count],
				.len = (uint32_t)xdp_frame_answer(f, frame, len) };
	q->queued++;
	return true;
}

/* A call sends so many, and says EAGAIN when there are more, or no memory for them. */
static bool is_sent(const struct xdp_queue *q)
{
	for (unsigned i = 0; i < KICKS_MAX && xsk_ring_prod__needs_wakeup(&q->answers); i++)
		if (sendto(xdp_queue_fd(q), NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			return true;
		else if (errno != EAGAIN && errno != EBUSY && errno != ENOBUFS && errno != EINTR)
			return true;	/* the interface is down */
	return !xsk_ring_prod__needs_wakeup(&q->answers);
}

static void kick(struct xdp_queue *q)
{
	if (is_sent(q))
		ev_timer_stop(q->owner->loop, &q->retry);
	else if (!ev_is_active(&q->retry))
		ev_timer_start(q->owner->loop, &q->retry);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	kick(list_entry(timer, struct xdp_queue, retry));
}

void xdp_flush(struct xdp *x)
{
	struct xdp_queue *q = x->current;

	if (!q || q->queued == 0)
		return;
	xsk_ring_prod__submit(&q->answers, q->queued);
	q->queued = 0;
	kick(q);
}

/* ---- Queries ---- */

/* False: it has no client of ours. */
static bool find_client(struct xdp *x, const struct xdp_queue *q, const struct xdp_frame *f,
			struct client *c)
{
	struct in6_addr asked;
	uint16_t port;

	xdp_frame_source(f, &c->address.v6);
	xdp_frame_asked(f, &asked, &port);
	return udp_adopt(x->udp, &asked, port, q->interface, c);
}

/* False: nobody can be answered there. */
static bool take_query(struct xdp *x, struct xdp_queue *q, unsigned i, uint32_t len, unsigned taken)
{
	struct arrival *a = &x->arrivals[taken];
	struct xdp_frame *f = &x->frames[taken];

	a->client = (struct client){ .frame = x->batch << BATCH_BITS | taken };
	if (xdp_frame_parse(q->area + x->addresses[i], len, f) && find_client(x, q, f, &a->client)) {
		a->packet = f->message;
		a->len = f->message_len;
		return true;
	}
	counter_add(&x->dispatch->stats->queries_udp, 1);
	counter_add(&x->dispatch->stats->dropped_malformed, 1);
	return false;
}

/* Numbers of batches are not 0, and come again after 67 million: no query waits as long. */
static void begin_batch(struct xdp *x, struct xdp_queue *q)
{
	x->current = q;
	q->mtu = atomic_load_explicit(&q->next_mtu, memory_order_relaxed);
	x->batch = (x->batch + 1) & (UINT32_MAX >> BATCH_BITS);
	if (x->batch == 0)
		x->batch = 1;
	if (q->spare_count < SPARE_LOW)
		reclaim(q);
}

/* One batch: how many frames it had. */
static unsigned read_batch(struct xdp_queue *q)
{
	struct xdp *x = q->owner;
	uint32_t at, n = xsk_ring_cons__peek(&q->received, BATCH_MAX, &at);
	unsigned taken = 0;

	if (n == 0)
		return 0;
	begin_batch(x, q);
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *d = xsk_ring_cons__rx_desc(&q->received, at + i);

		x->addresses[i] = d->addr;
		taken += take_query(x, q, i, d->len, taken);
	}
	counter_add(&x->dispatch->stats->queries_xdp, taken);
	dispatch_queries(x->dispatch, x->arrivals, taken);
	x->flush(x->arg);
	x->current = NULL;
	give_back(q, x->addresses, n);
	xsk_ring_cons__release(&q->received, n);
	return n;
}

/* A wake-up without a frame: the interface may be gone. */
static void look_after(struct xdp_queue *q)
{
	int problem = 0;
	socklen_t len = sizeof(problem);

	if (getsockopt(xdp_queue_fd(q), SOL_SOCKET, SO_ERROR, &problem, &len) < 0 || problem)
		ev_io_stop(q->owner->loop, &q->io);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct xdp_queue *q = list_entry(io, struct xdp_queue, io);
	unsigned n = read_batch(q);

	(void)loop;
	(void)revents;
	if (n == 0)
		look_after(q);
	for (unsigned i = 1; i < BATCHES_MAX && n == BATCH_MAX; i++)
		n = read_batch(q);
	if (xsk_ring_prod__needs_wakeup(&q->fill))	/* the driver had no frame left to fill */
		recvfrom(xdp_queue_fd(q), NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* ---- Life ---- */

struct xdp *xdp_new(struct ev_loop *loop, struct dispatch *dispatch, struct udp *udp,
		    void (*flush)(void *arg), void *arg)
{
	struct xdp *x = memory_zeroed(1, sizeof(*x));

	x->loop = loop;
	x->dispatch = dispatch;
	x->udp = udp;
	x->flush = flush;
	x->arg = arg;
	return x;
}

bool xdp_take(struct xdp *x, struct xdp_queue *q)
{
	if (x->queue_count == XDP_QUEUES_MAX)
		return false;
	x->queues[x->queue_count++] = q;
	q->owner = x;
	ev_timer_init(&q->retry, on_retry, RETRY_MS / 1e3, RETRY_MS / 1e3);
	ev_io_init(&q->io, on_readable, xdp_queue_fd(q), EV_READ);
	ev_io_start(x->loop, &q->io);
	return true;
}

void xdp_stop(struct xdp *x)
{
	for (unsigned i = 0; i < x->queue_count; i++) {
		struct xdp_queue *q = x->queues[i];

		ev_io_stop(x->loop, &q->io);
		for (unsigned n = 0; n < QUERY_FRAMES && read_batch(q) > 0; n++)
			;
		ev_timer_stop(x->loop, &q->retry);
		for (unsigned n = 0; n < ANSWER_FRAMES && !is_sent(q); n++)
			;
	}
}

void xdp_free(struct xdp *x)
{
	if (!x)
		return;
	for (unsigned i = 0; i < x->queue_count; i++)
		xdp_queue_close(x->queues[i]);
	free(x);
}
