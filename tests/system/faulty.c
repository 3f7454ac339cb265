/* SPDX-License-Identifier: ISC */
/*
 * faulty - stands before a true name server and spoils what passes, on command.
 *
 * Purpose:  every way in which a server, or the path to it, can fail. It relays UDP and TCP to
 *           the truth, so that without a command it is that server; transfers pass too.
 * Commands: lines on stdin; each replaces the one before it, and is said again on stdout once it
 *           holds. `well` ends all faults. The words of a line are rows of `words` below.
 * Packets:  `gone`, `udp-gone` and loss on the way in are socket filters: the kernel drops what
 *           comes, SYNs and acknowledgements too, with neither ICMP nor RST, as a dead host does.
 * Time:     CLOCK_MONOTONIC, microseconds.
 * Failure:  a wrong command line or command ends the program.
 *
 *   faulty -l ADDR@PORT -t ADDR@PORT [-c 'first command']
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	US = 1000000,
	MS = 1000,
	HEADER = 12,
	MESSAGE_MAX = 65535,
	FRAME_MAX = 2 + MESSAGE_MAX,
	CONNS_MAX = 2048,
	RESENT_MS = 200,	/* TCP sends a lost segment again after so long */
	OPT_LEN = 11,
	TYPE_SOA = 6, TYPE_OPT = 41, TYPE_IXFR = 251, TYPE_AXFR = 252,
};

enum tcp_fault { WELL, HANGS, RESETS, CLOSES, DRIPS, TRICKLES };

/* What is wrong now. Numbers, so that one table describes them all. */
static struct fault {
	int gone, udp_gone, flap_ms;
	int loss_in, loss_out;			/* percent */
	int latency_ms, jitter_ms, creep_ms;	/* creep: more latency with each second */
	int limit;				/* answers only so many queries a second */
	int rcode, lame, empty, nxdomain, tc;
	int wrong_id, wrong_question, wrong_case, garbage, cut, qr_clear, elsewhere;
	int copies;				/* of each reply, beside the first */
	int tcp;				/* enum tcp_fault */
	uint8_t zone[256];			/* only names at or below it; the root: all */
} fault;

static const struct word { const char *name; size_t offset; } words[] = {
#define WORD(name, field) { name, offsetof(struct fault, field) }
	WORD("gone", gone), WORD("udp-gone", udp_gone), WORD("flap-ms", flap_ms),
	WORD("loss-in", loss_in), WORD("loss-out", loss_out),
	WORD("latency-ms", latency_ms), WORD("jitter-ms", jitter_ms), WORD("creep-ms", creep_ms),
	WORD("limit", limit), WORD("rcode", rcode), WORD("lame", lame), WORD("empty", empty),
	WORD("nxdomain", nxdomain), WORD("tc", tc), WORD("wrong-id", wrong_id),
	WORD("wrong-question", wrong_question), WORD("wrong-case", wrong_case),
	WORD("garbage", garbage), WORD("cut", cut), WORD("qr-clear", qr_clear),
	WORD("elsewhere", elsewhere), WORD("copies", copies),
#undef WORD
};

static const char *const tcp_words[] = { "well", "hang", "reset", "close", "drip", "trickle" };

/* Where a reply goes. */
struct goal {
	int conn;			/* in conns[]; -1: by UDP to `peer` */
	unsigned serial;		/* the place may be another's by now */
	struct sockaddr_storage peer;
	socklen_t peer_len;
};

struct buffer { uint8_t *bytes; size_t len, room; };

/* A client's connection and ours to the truth, message by message. */
static struct conn {
	int fd, truth_fd;		/* -1: free */
	unsigned serial;
	bool closes;			/* when all is written */
	struct buffer in, out, truth_in, truth_out;
} conns[CONNS_MAX];

struct delayed { uint64_t at_us; struct goal goal; size_t len; uint8_t *bytes; };

static struct { struct goal goal; uint8_t id[2]; } asked[65536];	/* by the ID we gave it */
static struct sockaddr_storage here, truth;
static socklen_t here_len, truth_len;
static int epoll_fd, udp_fd, elsewhere_fd, truth_udp_fd, listen_fd;
static struct delayed *heap;		/* the earliest first */
static size_t heap_len, heap_room;
static uint64_t now_us, fault_since_us, bucket_at_us;
static double bucket;
static bool is_flapped;

/* Tags of what epoll reports; connections follow: two for each. */
enum { TAG_STDIN, TAG_UDP, TAG_TRUTH_UDP, TAG_LISTEN, TAG_CONNS };

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("faulty: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	exit(2);
}

static void read_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now_us = (uint64_t)t.tv_sec * US + (uint64_t)t.tv_nsec / 1000;
}

static unsigned draw(unsigned below)
{
	static uint64_t state;

	if (!state && getrandom(&state, sizeof(state), 0) != (ssize_t)sizeof(state))
		die("no random numbers");
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((state >> 33) % below);
}

static bool happens(int percent)
{
	return percent > 0 && (int)draw(100) < percent;
}

static void watch_fd(int fd, uint32_t events, uint64_t tag, int operation)
{
	struct epoll_event e = { .events = events, .data.u64 = tag };

	if (epoll_ctl(epoll_fd, operation, fd, &e) < 0)
		die("epoll: %s", strerror(errno));
}

static void buffer_add(struct buffer *b, const void *bytes, size_t len)
{
	if (b->len + len > b->room) {
		b->room = (b->len + len) * 2;
		b->bytes = realloc(b->bytes, b->room);
		if (!b->bytes)
			die("out of memory");
	}
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

static void buffer_drop(struct buffer *b, size_t len)
{
	b->len -= len;
	memmove(b->bytes, b->bytes + len, b->len);
}

/* ---- Packets that the kernel drops ---- */

static void filter(int fd, int percent)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(percent * 42949672.95), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	struct sock_fprog none = { 1, code + 3 };
	int zero = 0;

	if (percent == 0)
		setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof(zero));
	else if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, percent >= 100 ? &none : &program,
			    sizeof(program)) < 0)
		die("filter: %s", strerror(errno));
}

static int tcp_loss(void)
{
	return fault.gone || is_flapped ? 100 : fault.loss_in;
}

static void filter_all(void)
{
	bool is_gone = fault.gone || is_flapped;

	filter(udp_fd, is_gone || fault.udp_gone ? 100 : fault.loss_in);
	filter(listen_fd, tcp_loss());
	for (size_t i = 0; i < CONNS_MAX; i++)
		if (conns[i].fd >= 0)
			filter(conns[i].fd, tcp_loss());
}

/* ---- Connections ---- */

static void conn_close(struct conn *c, bool is_reset)
{
	struct linger now = { 1, 0 };

	if (c->fd < 0)
		return;
	if (is_reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->fd);
	close(c->truth_fd);
	c->fd = c->truth_fd = -1;
	c->serial++;
	c->in.len = c->out.len = c->truth_in.len = c->truth_out.len = 0;
	c->closes = false;
}

static uint64_t tag_of(const struct conn *c, bool is_truth)
{
	return TAG_CONNS + 2 * (uint64_t)(c - conns) + is_truth;
}

static int open_truth(int type)
{
	int one = 1, fd = socket(truth.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || (connect(fd, (struct sockaddr *)&truth, truth_len) < 0 && errno != EINPROGRESS))
		die("the truth: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void on_accept(void)
{
	int one = 1, fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c = conns;

	if (fd < 0)
		return;
	while (c < conns + CONNS_MAX && c->fd >= 0)
		c++;
	if (c == conns + CONNS_MAX) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	filter(fd, tcp_loss());
	c->fd = fd;
	c->truth_fd = open_truth(SOCK_STREAM);
	watch_fd(c->fd, EPOLLIN, tag_of(c, false), EPOLL_CTL_ADD);
	watch_fd(c->truth_fd, EPOLLIN | EPOLLOUT, tag_of(c, true), EPOLL_CTL_ADD);
}

/* Writes what goes; `most` bytes for each call of send(2), and one call only when trickling. */
static bool write_out(int fd, struct buffer *b, uint64_t tag, size_t most, bool is_once)
{
	size_t done = 0;

	while (done < b->len) {
		size_t part = b->len - done < most ? b->len - done : most;
		ssize_t n = send(fd, b->bytes + done, part, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
			return false;
		if (n < 0)
			break;
		done += (size_t)n;
		if (is_once)
			break;
	}
	buffer_drop(b, done);
	watch_fd(fd, b->len && !is_once ? EPOLLIN | EPOLLOUT : EPOLLIN, tag, EPOLL_CTL_MOD);
	return true;
}

static void flush_client(struct conn *c)
{
	bool is_slow = fault.tcp == DRIPS || fault.tcp == TRICKLES;

	if (c->fd < 0)
		return;
	if (!write_out(c->fd, &c->out, tag_of(c, false), is_slow ? 1 : MESSAGE_MAX,
		       fault.tcp == TRICKLES) || (c->closes && !c->out.len))
		conn_close(c, false);
}

/* Reads; false at the end. */
static bool read_in(int fd, struct buffer *b)
{
	uint8_t bytes[16384];
	ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

	if (n > 0)
		buffer_add(b, bytes, (size_t)n);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* The length of the message at the front of `b`, or 0 while it is not whole. */
static size_t frame_len(const struct buffer *b)
{
	size_t len = b->len < 2 ? 0 : (size_t)b->bytes[0] << 8 | b->bytes[1];

	return len && b->len >= 2 + len ? len : 0;
}

/* ---- Sending, now or later ---- */

static void send_to(const struct goal *g, const uint8_t *bytes, size_t len)
{
	uint8_t prefix[2] = { (uint8_t)(len >> 8), (uint8_t)len };
	struct conn *c;

	if (g->conn < 0) {
		sendto(fault.elsewhere ? elsewhere_fd : udp_fd, bytes, len, 0,
		       (const struct sockaddr *)&g->peer, g->peer_len);
		return;
	}
	c = &conns[g->conn];
	if (c->fd < 0 || c->serial != g->serial || c->closes)
		return;
	buffer_add(&c->out, prefix, 2);
	buffer_add(&c->out, bytes, len);
	c->closes = fault.tcp == CLOSES;
	if (fault.tcp != TRICKLES)
		flush_client(c);
}

static void swap_delayed(size_t a, size_t b)
{
	struct delayed x = heap[a];

	heap[a] = heap[b];
	heap[b] = x;
}

static void delay(const struct goal *g, const uint8_t *bytes, size_t len, uint64_t at_us)
{
	size_t i = heap_len++;

	if (heap_len > heap_room) {
		heap_room = heap_len * 2;
		heap = realloc(heap, heap_room * sizeof(*heap));
	}
	heap[i] = (struct delayed){ at_us, *g, len, malloc(len) };
	memcpy(heap[i].bytes, bytes, len);
	for (; i > 0 && heap[i].at_us < heap[(i - 1) / 2].at_us; i = (i - 1) / 2)
		swap_delayed(i, (i - 1) / 2);
}

static void take_first(void)
{
	heap[0] = heap[--heap_len];
	for (size_t i = 0;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < heap_len; child++)
			if (heap[child].at_us < heap[least].at_us)
				least = child;
		if (least == i)
			return;
		swap_delayed(i, least);
		i = least;
	}
}

static void send_due(void)
{
	while (heap_len && heap[0].at_us <= now_us) {
		struct delayed d = heap[0];

		take_first();
		send_to(&d.goal, d.bytes, d.len);
		free(d.bytes);
	}
}

/* One reply leaves: lost, late, or at once. */
static void emit(const struct goal *g, const uint8_t *bytes, size_t len)
{
	uint64_t ms = (uint64_t)fault.latency_ms +
		      (uint64_t)fault.creep_ms * (now_us - fault_since_us) / US;
	uint64_t us = ms * MS + (fault.jitter_ms ? draw((unsigned)fault.jitter_ms * MS) : 0);

	if (happens(fault.loss_out)) {
		if (g->conn < 0)
			return;
		us += RESENT_MS * MS;
	}
	if (us)
		delay(g, bytes, len, now_us + us);
	else
		send_to(g, bytes, len);
}

/* ---- What a reply becomes ---- */

static size_t question_end(const uint8_t *m, size_t len)
{
	size_t at = HEADER;

	while (at < len && m[at])
		at += 1u + m[at];
	return at + 5 <= len ? at + 5 : 0;
}

/* Whether the fault is meant for this name. Lengths of labels are no letters. */
static bool is_meant(const uint8_t *m, size_t end)
{
	size_t zone_len = strlen((const char *)fault.zone) + 1;
	const uint8_t *at = m + HEADER, *name_end = m + end - 4;

	for (; *at; at += 1 + *at)
		if ((size_t)(name_end - at) == zone_len &&
		    strncasecmp((const char *)at, (const char *)fault.zone, zone_len) == 0)
			return true;
	return zone_len == 1;
}

/* Header and question are left, and the OPT record if there was one. */
static size_t bare(uint8_t *m, size_t len, size_t end, uint8_t flags, uint8_t rcode)
{
	static const uint8_t opt[3] = { 0, 0, TYPE_OPT };
	uint8_t *tail = m + len - OPT_LEN;
	bool has_opt = len >= end + OPT_LEN && m[11] && memcmp(tail, opt, sizeof(opt)) == 0;

	m[2] = (uint8_t)((m[2] & 0xf9) | flags);
	m[3] = (uint8_t)((m[3] & 0xf0) | rcode);
	memset(m + 6, 0, 6);
	if (!has_opt)
		return end;
	m[11] = 1;
	memmove(m + end, tail, OPT_LEN);
	return end + OPT_LEN;
}

/* What it says of the zone. */
static size_t falsify(uint8_t *m, size_t len, size_t end, bool is_tcp)
{
	unsigned type = (unsigned)m[end - 4] << 8 | m[end - 3];
	bool is_of_serial = type == TYPE_SOA || type == TYPE_AXFR || type == TYPE_IXFR;

	if (fault.rcode)
		return bare(m, len, end, 0, (uint8_t)fault.rcode);
	if (fault.tc && !is_tcp)
		return bare(m, len, end, 0x06, m[3] & 15);
	if ((fault.empty || fault.nxdomain) && !is_of_serial)
		return bare(m, len, end, 0x04, fault.nxdomain ? 3 : 0);
	if (fault.lame)
		m[2] &= 0xfb;
	return len;
}

/* What makes it no reply at all. */
static size_t deface(uint8_t *m, size_t len, size_t end)
{
	if (fault.wrong_id)
		m[0] ^= 0x55;
	if (fault.wrong_question)
		m[end - 3] ^= 0x40;
	if (fault.wrong_case)
		for (size_t i = HEADER; i < end - 5; i++)
			if ((m[i] | 0x20) >= 'a' && (m[i] | 0x20) <= 'z')
				m[i] ^= 0x20;
	if (fault.qr_clear)
		m[2] &= 0x7f;
	if (fault.garbage)
		for (size_t i = 2; i < len; i++)
			m[i] = (uint8_t)draw(256);
	return fault.cut ? HEADER + (len - HEADER) / 2 : len;
}

static void take_reply(const struct goal *g, uint8_t *m, size_t len)
{
	size_t end = len < HEADER ? 0 : question_end(m, len);

	if (end && is_meant(m, end)) {
		len = falsify(m, len, end, g->conn >= 0);
		len = deface(m, len, end);
	}
	for (int i = 0; i <= fault.copies; i++)
		emit(g, m, len);
}

/* An overloaded server answers what it can, and not one query more. */
static bool is_over_limit(void)
{
	if (!fault.limit)
		return false;
	bucket += (double)fault.limit * (double)(now_us - bucket_at_us) / US;
	bucket_at_us = now_us;
	if (bucket > fault.limit / 20.0)
		bucket = fault.limit / 20.0;
	if (bucket < 1)
		return true;
	bucket -= 1;
	return false;
}

/* ---- Queries and replies come ---- */

static void on_udp_query(void)
{
	static uint16_t next;
	uint8_t m[MESSAGE_MAX];
	struct goal g = { .conn = -1, .peer_len = sizeof(g.peer) };
	ssize_t n;

	while ((n = recvfrom(udp_fd, m, sizeof(m), 0, (struct sockaddr *)&g.peer, &g.peer_len)) >= 0) {
		if (n >= HEADER && !is_over_limit()) {
			next++;
			asked[next].goal = g;
			memcpy(asked[next].id, m, 2);
			m[0] = (uint8_t)(next >> 8);
			m[1] = (uint8_t)next;
			send(truth_udp_fd, m, (size_t)n, 0);
		}
		g.peer_len = sizeof(g.peer);
	}
}

static void on_udp_reply(void)
{
	uint8_t m[MESSAGE_MAX];
	ssize_t n;

	while ((n = recv(truth_udp_fd, m, sizeof(m), 0)) >= 0) {
		unsigned id = (unsigned)m[0] << 8 | m[1];

		if (n < HEADER)
			continue;
		memcpy(m, asked[id].id, 2);
		take_reply(&asked[id].goal, m, (size_t)n);
	}
}

static void on_client(struct conn *c, uint32_t events)
{
	size_t len;

	if (events & EPOLLOUT)
		flush_client(c);
	if (c->fd < 0 || !(events & ~(uint32_t)EPOLLOUT))
		return;
	if (!read_in(c->fd, &c->in)) {
		conn_close(c, false);
		return;
	}
	if (fault.tcp == RESETS) {
		conn_close(c, true);
		return;
	}
	for (; (len = frame_len(&c->in)); buffer_drop(&c->in, 2 + len))
		if (fault.tcp != HANGS && !is_over_limit())
			buffer_add(&c->truth_out, c->in.bytes, 2 + len);
	if (!write_out(c->truth_fd, &c->truth_out, tag_of(c, true), MESSAGE_MAX, false))
		conn_close(c, false);
}

static void on_truth(struct conn *c, uint32_t events)
{
	struct goal g = { .conn = (int)(c - conns), .serial = c->serial };
	size_t len;

	if (c->fd < 0)
		return;
	if ((events & EPOLLOUT) &&
	    !write_out(c->truth_fd, &c->truth_out, tag_of(c, true), MESSAGE_MAX, false)) {
		conn_close(c, false);
		return;
	}
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	if (!read_in(c->truth_fd, &c->truth_in)) {
		c->closes = true;
		flush_client(c);
		return;
	}
	while (c->fd >= 0 && c->serial == g.serial && (len = frame_len(&c->truth_in))) {
		uint8_t m[MESSAGE_MAX];

		memcpy(m, c->truth_in.bytes + 2, len);
		buffer_drop(&c->truth_in, 2 + len);
		if (fault.tcp != HANGS)
			take_reply(&g, m, len);
	}
}

/* ---- Commands ---- */

static void set_zone(const char *text)
{
	size_t at = 0;

	while (*text && at < sizeof(fault.zone) - 66) {
		size_t len = strcspn(text, ".");

		fault.zone[at++] = (uint8_t)len;
		memcpy(fault.zone + at, text, len < 63 ? len : 63);
		at += len;
		text += len + (text[len] == '.');
	}
	fault.zone[at] = 0;
}

static void set_tcp(const char *value)
{
	for (int i = 0; i < (int)(sizeof(tcp_words) / sizeof(tcp_words[0])); i++)
		if (value && strcmp(tcp_words[i], value) == 0) {
			fault.tcp = i;
			return;
		}
	die("tcp=%s is no fault", value ? value : "");
}

static void set_word(const char *word, const char *value)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].name, word) == 0) {
			*(int *)((char *)&fault + words[i].offset) = value ? (int)strtol(value, NULL, 10) : 1;
			return;
		}
	die("%s is no fault", word);
}

static void obey(char *line)
{
	char said[256];

	line[strcspn(line, "\n")] = '\0';
	snprintf(said, sizeof(said), "%s", line);
	memset(&fault, 0, sizeof(fault));
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = '\0';
		if (strcmp(word, "zone") == 0 && value)
			set_zone(value);
		else if (strcmp(word, "tcp") == 0)
			set_tcp(value);
		else if (strcmp(word, "well") != 0)
			set_word(word, value);
	}
	fault_since_us = bucket_at_us = now_us;
	is_flapped = false;
	filter_all();
	printf("obeyed %s\n", said);
	fflush(stdout);
}

static void on_stdin(void)
{
	static char lines[1024];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, lines + len, sizeof(lines) - 1 - len);
	char *end;

	if (n <= 0)
		exit(0);
	len += (size_t)n;
	lines[len] = '\0';
	while ((end = strchr(lines, '\n'))) {
		*end = '\0';
		obey(lines);
		len -= (size_t)(end + 1 - lines);
		memmove(lines, end + 1, len + 1);
	}
}

/* ---- The loop ---- */

static void flap(void)
{
	uint64_t age_ms = (now_us - fault_since_us) / MS;
	bool is_now = fault.flap_ms && age_ms / (unsigned)fault.flap_ms % 2 == 0;

	if (is_now == is_flapped)
		return;
	is_flapped = is_now;
	filter_all();
}

static void on_event(const struct epoll_event *e)
{
	uint64_t tag = e->data.u64;

	switch (tag) {
	case TAG_STDIN:		on_stdin(); break;
	case TAG_UDP:		on_udp_query(); break;
	case TAG_TRUTH_UDP:	on_udp_reply(); break;
	case TAG_LISTEN:	on_accept(); break;
	default:
		if ((tag - TAG_CONNS) % 2)
			on_truth(&conns[(tag - TAG_CONNS) / 2], e->events);
		else
			on_client(&conns[(tag - TAG_CONNS) / 2], e->events);
	}
}

static void run(void)
{
	struct epoll_event events[64];

	for (;;) {
		bool is_busy = heap_len || fault.flap_ms || fault.tcp == TRICKLES;
		int n = epoll_wait(epoll_fd, events, 64, is_busy ? 1 : 1000);

		read_clock();
		for (int i = 0; i < n; i++)
			on_event(&events[i]);
		send_due();
		flap();
		for (size_t i = 0; fault.tcp == TRICKLES && i < CONNS_MAX; i++)
			flush_client(&conns[i]);
	}
}

/* ---- The beginning ---- */

static void parse_address(char *text, struct sockaddr_storage *a, socklen_t *len)
{
	char *at = strchr(text, '@');
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;

	if (!at)
		die("address without port: %s", text);
	*at = '\0';
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)strtoul(at + 1, NULL, 10));
	if (inet_pton(AF_INET, text, &v4->sin_addr) != 1)
		die("not an address: %s", text);
	*len = sizeof(*v4);
}

static int open_here(int type, bool is_any_port)
{
	struct sockaddr_storage a = here;
	int one = 1, size = 4 << 20, fd = socket(here.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (is_any_port)
		((struct sockaddr_in *)&a)->sin_port = 0;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&a, here_len) < 0 || (type == SOCK_STREAM && listen(fd, 1024) < 0))
		die("listen: %s", strerror(errno));
	return fd;
}

static void open_all(void)
{
	struct rlimit files = { 8192, 8192 };

	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < CONNS_MAX; i++)
		conns[i].fd = conns[i].truth_fd = -1;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	listen_fd = open_here(SOCK_STREAM, false);
	udp_fd = open_here(SOCK_DGRAM, false);
	elsewhere_fd = open_here(SOCK_DGRAM, true);
	truth_udp_fd = open_truth(SOCK_DGRAM);
	watch_fd(STDIN_FILENO, EPOLLIN, TAG_STDIN, EPOLL_CTL_ADD);
	watch_fd(udp_fd, EPOLLIN, TAG_UDP, EPOLL_CTL_ADD);
	watch_fd(truth_udp_fd, EPOLLIN, TAG_TRUTH_UDP, EPOLL_CTL_ADD);
	watch_fd(listen_fd, EPOLLIN, TAG_LISTEN, EPOLL_CTL_ADD);
}

int main(int argc, char **argv)
{
	char first[256] = "well";
	int o;

	while ((o = getopt(argc, argv, "l:t:c:")) != -1) {
		switch (o) {
		case 'l': parse_address(optarg, &here, &here_len); break;
		case 't': parse_address(optarg, &truth, &truth_len); break;
		case 'c': snprintf(first, sizeof(first), "%s", optarg); break;
		default: die("see the head of faulty.c for the options");
		}
	}
	if (!here_len || !truth_len)
		die("-l and -t are needed");
	open_all();
	read_clock();
	obey(first);
	run();
}
