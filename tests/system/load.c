/* SPDX-License-Identifier: ISC */
/*
 * load - asks a server questions at a steady rate and compares every answer with the truth.
 *
 * Purpose:  the client of the system tests: impatient, never asking twice, believing nothing.
 *           First it learns the true answers from a truth server (by UDP and TCP, with and
 *           without EDNS), then it sends: UDP from many ports, a share by TCP (half of that on
 *           connections of their own, half pipelined on a few).
 * Output:   lines of JSON on stdout: {"ready":..}, {"progress":..} four times a second, and
 *           one {"result":..} at the end.
 * Time:     CLOCK_MONOTONIC, microseconds. The time in which the machine itself stood still (held.h) is
 *           taken off what a reply took, and told as "held_ms".
 * Failure:  usage and a truth that cannot be learnt end the program; everything later is a
 *           number in the result.
 *
 *   load -s ADDR@PORT -t ADDR@PORT -q FILE [-r RATE] [-d SECONDS] [-p PATIENCE_MS]
 *        [-T one in N by TCP, 0: none] [-S: SOA serials may differ]
 *        [-F: who is sent a truncated reply asks by TCP, as the protocol has it; time runs on]
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "held.h"
#include "meaning.h"

enum {
	UDP_SOCKETS = 64,
	PIPELINES = 4,
	CONNS_MAX = 4096,
	QUESTIONS_MAX = 200000,
	QUERY_MAX = 300,
	MESSAGE_MAX = 65535,
	TROUBLES_MAX = 100,
	SLOW_US = 60000,
	SLOW_MAX = 40,
	US = 1000000,
};

enum variant { PLAIN, EDNS, VARIANTS };
enum transport { UDP, TCP, TRANSPORTS };
enum fate { WAITING, ANSWERED, LOST };

struct question {
	uint8_t wire[QUERY_MAX];	/* name, type, class */
	size_t len;
	char text[128];
	struct meaning truth[TRANSPORTS][VARIANTS];
};

struct query {
	uint64_t sent_us;
	uint32_t question;
	uint32_t latency_us;
	uint16_t id;
	uint8_t fate, variant, transport, scramble;	/* scramble: seed of the letters' case */
	int32_t conn;			/* TCP: in conns[] */
};

struct conn {
	int fd;				/* -1: free */
	bool is_pipeline, is_connected;
	uint32_t outstanding;
	size_t in_len, out_len;
	uint8_t *in;			/* 2 + MESSAGE_MAX */
	uint8_t out[16384];
};

struct trouble { uint64_t at_us; uint32_t query; const char *kind; int rcode; };

static struct {
	struct sockaddr_storage server, truth;
	socklen_t server_len, truth_len;
	const char *questions_file;
	uint64_t rate, seconds, patience_us;
	unsigned tcp_one_in;
	bool is_serial_free, follows_truncation;
} options = { .rate = 2000, .seconds = 10, .patience_us = 2 * US, .tcp_one_in = 10 };

static struct question *questions;
static size_t question_count;
static struct query *queries;
static size_t query_count, oldest;	/* before `oldest` all have met their fate */
static int udp_fd[UDP_SOCKETS];
static int32_t (*udp_by_id)[65536];	/* [socket][id] -> query, -1: none */
static struct conn conns[CONNS_MAX];
static int epoll_fd;
static uint64_t started_us;
static volatile sig_atomic_t is_stopped;

static struct {
	uint64_t answered, lost, wrong, error_rcodes, duplicates, late, strangers;
	uint64_t by_rcode[16], udp, tcp, tcp_closed, socket_errors, truncated;
} count;
static struct trouble troubles[TROUBLES_MAX];
static size_t trouble_count;

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("load: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	exit(2);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * US + (uint64_t)t.tv_nsec / 1000;
}

static uint32_t draw(void)
{
	static uint64_t state;

	if (!state && getrandom(&state, sizeof(state), 0) != (ssize_t)sizeof(state))
		die("no random numbers");
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33);
}

static void note_trouble(uint64_t at, size_t query, const char *kind, int rcode)
{
	if (trouble_count < TROUBLES_MAX)
		troubles[trouble_count++] = (struct trouble){ at - started_us, (uint32_t)query, kind, rcode };
}

/* ---- What is asked ---- */

/* Writes the query; letters change their case by the bits of `scramble`. */
static size_t put_query(uint8_t *out, const struct question *q, uint16_t id, enum variant variant,
			uint8_t scramble)
{
	static const uint8_t opt[11] = { 0, 0, 41, 1232 >> 8, 1232 & 255, 0, 0, 0, 0, 0, 0 };

	memset(out, 0, 12);
	out[0] = (uint8_t)(id >> 8);
	out[1] = (uint8_t)id;
	out[5] = 1;
	for (size_t i = 0; i < q->len; i++) {
		uint8_t c = q->wire[i];
		bool is_letter = i + 4 < q->len && c >= 'a' && c <= 'z';

		out[12 + i] = is_letter && (scramble >> (i % 8) & 1) ? (uint8_t)(c - 32) : c;
	}
	if (variant == PLAIN)
		return 12 + q->len;
	out[11] = 1;
	memcpy(out + 12 + q->len, opt, sizeof(opt));
	return 12 + q->len + sizeof(opt);
}

static void read_question(char *line)
{
	char name[256], type[32];
	struct question *q = &questions[question_count];

	if (line[0] == '#' || sscanf(line, "%255s %31s", name, type) != 2)
		return;
	ldns_rdf *dname = ldns_dname_new_frm_str(name);
	ldns_rr_type t = ldns_get_rr_type_by_name(type);

	if (!dname || ldns_rdf_size(dname) + 4 > QUERY_MAX - 40)
		die("not a question: %s", line);
	ldns_dname2canonical(dname);
	q->len = ldns_rdf_size(dname);
	memcpy(q->wire, ldns_rdf_data(dname), q->len);
	q->wire[q->len++] = (uint8_t)(t >> 8);
	q->wire[q->len++] = (uint8_t)t;
	q->wire[q->len++] = 0;
	q->wire[q->len++] = 1;
	snprintf(q->text, sizeof(q->text), "%.90s %.30s", name, type);
	for (char *c = q->text; *c; c++)		/* it goes into JSON */
		*c = *c == '\\' || *c == '"' ? '/' : *c;
	ldns_rdf_deep_free(dname);
	question_count++;
}

static void read_questions(void)
{
	FILE *f = fopen(options.questions_file, "r");
	char line[512];

	if (!f)
		die("%s: %s", options.questions_file, strerror(errno));
	questions = calloc(QUESTIONS_MAX, sizeof(*questions));
	while (questions && question_count < QUESTIONS_MAX && fgets(line, sizeof(line), f))
		read_question(line);
	fclose(f);
	if (!question_count)
		die("%s: no question in it", options.questions_file);
}

/* ---- Learning the truth ---- */

static ssize_t ask_udp(const uint8_t *query, size_t len, uint8_t *reply)
{
	int fd = socket(options.truth.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = -1;

	if (connect(fd, (struct sockaddr *)&options.truth, options.truth_len) == 0 &&
	    send(fd, query, len, 0) == (ssize_t)len && poll(&p, 1, 1000) == 1)
		n = recv(fd, reply, MESSAGE_MAX, 0);
	close(fd);
	return n;
}

static ssize_t read_fully(int fd, uint8_t *out, size_t len)
{
	size_t got = 0;

	while (got < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n = poll(&p, 1, 1000) == 1 ? read(fd, out + got, len - got) : -1;

		if (n <= 0)
			return -1;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static ssize_t ask_tcp(const uint8_t *query, size_t len, uint8_t *reply)
{
	int fd = socket(options.truth.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint8_t framed[2 + QUERY_MAX] = { (uint8_t)(len >> 8), (uint8_t)len };
	uint8_t prefix[2];
	ssize_t n = -1;

	memcpy(framed + 2, query, len);
	if (connect(fd, (struct sockaddr *)&options.truth, options.truth_len) == 0 &&
	    write(fd, framed, len + 2) == (ssize_t)len + 2 && read_fully(fd, prefix, 2) == 2)
		n = read_fully(fd, reply, (size_t)prefix[0] << 8 | prefix[1]);
	close(fd);
	return n;
}

static void learn_one(struct question *q, enum transport transport, enum variant variant)
{
	static uint8_t reply[MESSAGE_MAX];
	uint8_t query[QUERY_MAX];
	size_t len = put_query(query, q, 4711, variant, 0);

	for (int tries = 0; tries < 3; tries++) {
		ssize_t n = transport == UDP ? ask_udp(query, len, reply) : ask_tcp(query, len, reply);

		if (n > 12 && understand(reply, (size_t)n, options.is_serial_free, &q->truth[transport][variant]))
			return;
	}
	die("the truth server does not answer %s", q->text);
}

static void learn(void)
{
	for (size_t i = 0; i < question_count; i++)
		for (int t = 0; t < TRANSPORTS; t++)
			for (int v = 0; v < VARIANTS; v++)
				learn_one(&questions[i], (enum transport)t, (enum variant)v);
}

/* ---- Judging ---- */

static bool is_question_echoed(const struct query *q, const uint8_t *message, size_t len)
{
	uint8_t asked[QUERY_MAX];
	const struct question *what = &questions[q->question];

	put_query(asked, what, q->id, (enum variant)q->variant, q->scramble);
	return len >= 12 + what->len && message[4] == 0 && message[5] == 1 &&
	       memcmp(message + 12, asked + 12, what->len) == 0;
}

/* Why the reply is not the true answer, or NULL. */
static const char *find_fault(const struct query *q, const uint8_t *message, size_t len, int *rcode)
{
	const struct meaning *truth = &questions[q->question].truth[q->transport][q->variant];
	struct meaning said;

	*rcode = message[3] & 15;
	if (!(message[2] & 0x80) || (message[2] & 0x78))
		return "not a reply";
	if (*rcode != truth->rcode && *rcode != 0 && *rcode != 3)
		return "error rcode";
	if (!is_question_echoed(q, message, len))
		return "question not echoed";
	if (!understand(message, len, options.is_serial_free, &said))
		return "does not parse";
	if (said.has_edns != (q->variant == EDNS))
		return "OPT without being asked, or missing";
	if (said.is_truncated != truth->is_truncated)
		return "TC differs";
	if (said.rcode != truth->rcode)
		return "rcode differs";
	return said.hash == truth->hash || truth->is_truncated ? NULL : "records differ";
}

static void send_tcp(struct query *q, bool is_pipelined);

/* Truncated where the truth is not: the rest of the answer is to be had by TCP. */
static bool is_sent_to_tcp(struct query *q, const uint8_t *message, size_t len)
{
	uint64_t asked_us = q->sent_us;

	if (!options.follows_truncation || q->transport != UDP || q->fate != WAITING ||
	    (message[2] & 0x82) != 0x82 || questions[q->question].truth[UDP][q->variant].is_truncated ||
	    !is_question_echoed(q, message, len))
		return false;
	count.truncated++;
	q->transport = TCP;
	send_tcp(q, draw() % 2);
	q->sent_us = asked_us;
	return true;
}

static void take_reply(struct query *q, const uint8_t *message, size_t len, uint64_t now)
{
	int rcode;
	const char *fault = find_fault(q, message, len, &rcode);
	size_t index = (size_t)(q - queries);

	if (is_sent_to_tcp(q, message, len))
		return;
	if (q->fate != WAITING) {
		*(q->fate == ANSWERED ? &count.duplicates : &count.late) += 1;
		note_trouble(now, index, q->fate == ANSWERED ? "duplicate" : "late", rcode);
		return;
	}
	q->fate = ANSWERED;
	q->latency_us = (uint32_t)(now - q->sent_us);
	count.answered++;
	count.by_rcode[rcode]++;
	if (!fault)
		return;
	*(strcmp(fault, "error rcode") == 0 ? &count.error_rcodes : &count.wrong) += 1;
	note_trouble(now, index, fault, rcode);
}

static void lose(struct query *q, uint64_t now)
{
	q->fate = LOST;
	count.lost++;
	note_trouble(now, (size_t)(q - queries), "lost", -1);
}

/* ---- UDP ---- */

static void watch_fd(int fd, uint32_t events, uint64_t tag, int operation)
{
	struct epoll_event e = { .events = events, .data.u64 = tag };

	if (epoll_ctl(epoll_fd, operation, fd, &e) < 0)
		die("epoll: %s", strerror(errno));
}

static void open_udp(void)
{
	int size = 4 << 20;

	udp_by_id = malloc(sizeof(*udp_by_id) * UDP_SOCKETS);
	if (!udp_by_id)
		die("out of memory");
	memset(udp_by_id, 0xff, sizeof(*udp_by_id) * UDP_SOCKETS);
	for (unsigned i = 0; i < UDP_SOCKETS; i++) {
		udp_fd[i] = socket(options.server.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		setsockopt(udp_fd[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		if (connect(udp_fd[i], (struct sockaddr *)&options.server, options.server_len) < 0)
			die("connect: %s", strerror(errno));
		watch_fd(udp_fd[i], EPOLLIN, i, EPOLL_CTL_ADD);
	}
}

static void send_udp(struct query *q)
{
	unsigned s = draw() % UDP_SOCKETS;
	uint8_t message[QUERY_MAX];
	size_t len;

	do
		q->id = (uint16_t)draw();
	while (udp_by_id[s][q->id] >= 0 && queries[udp_by_id[s][q->id]].fate == WAITING);
	udp_by_id[s][q->id] = (int32_t)(q - queries);
	len = put_query(message, &questions[q->question], q->id, (enum variant)q->variant, q->scramble);
	q->sent_us = now_us();
	if (send(udp_fd[s], message, len, 0) < 0) {
		/* the error of an earlier packet (ICMP); this one was not sent yet */
		count.socket_errors++;
		send(udp_fd[s], message, len, 0);
	}
	count.udp++;
}

static void on_udp_readable(unsigned s)
{
	static uint8_t message[MESSAGE_MAX];
	ssize_t n;

	while ((n = recv(udp_fd[s], message, sizeof(message), 0)) >= 0 || errno != EAGAIN) {
		int32_t index;

		if (n < 12) {
			*(n < 0 ? &count.socket_errors : &count.strangers) += 1;
			continue;
		}
		index = udp_by_id[s][message[0] << 8 | message[1]];
		if (index < 0)
			count.strangers++;
		else
			take_reply(&queries[index], message, (size_t)n, now_us());
	}
}

/* ---- TCP ---- */

static uint64_t conn_tag(const struct conn *c)
{
	return UDP_SOCKETS + (uint64_t)(c - conns);
}

/* What was still owed on a connection will never come. */
static void close_conn(struct conn *c, uint64_t now)
{
	int32_t index = (int32_t)(c - conns);

	for (size_t i = oldest; c->outstanding && i < query_count; i++)
		if (queries[i].transport == TCP && queries[i].conn == index && queries[i].fate == WAITING)
			lose(&queries[i], now);
	close(c->fd);
	c->fd = -1;
	c->outstanding = 0;
}

static struct conn *open_conn(size_t from, size_t to)
{
	struct conn *c = &conns[from];
	int one = 1;

	while (c < &conns[to] && c->fd >= 0)
		c++;
	if (c == &conns[to])
		return NULL;
	if (!c->in && !(c->in = malloc(2 + MESSAGE_MAX)))
		die("out of memory");
	c->fd = socket(options.server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return NULL;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->in_len = c->out_len = c->outstanding = 0;
	c->is_connected = false;
	c->is_pipeline = from < PIPELINES;
	watch_fd(c->fd, EPOLLIN | EPOLLOUT, conn_tag(c), EPOLL_CTL_ADD);
	if (connect(c->fd, (struct sockaddr *)&options.server, options.server_len) < 0 &&
	    errno != EINPROGRESS) {
		close(c->fd);
		c->fd = -1;
		return NULL;
	}
	return c;
}

static bool flush_conn(struct conn *c)
{
	ssize_t n = c->out_len ? write(c->fd, c->out, c->out_len) : 0;

	if (n < 0)
		return errno == EAGAIN || errno == ENOTCONN;
	c->out_len -= (size_t)n;
	memmove(c->out, c->out + n, c->out_len);
	watch_fd(c->fd, c->out_len ? EPOLLIN | EPOLLOUT : EPOLLIN, conn_tag(c), EPOLL_CTL_MOD);
	return true;
}

static bool is_id_taken(int32_t conn, uint16_t id)
{
	for (size_t i = oldest; i < query_count; i++)
		if (queries[i].transport == TCP && queries[i].conn == conn && queries[i].id == id &&
		    queries[i].fate == WAITING)
			return true;
	return false;
}

static void send_tcp(struct query *q, bool is_pipelined)
{
	size_t at = draw() % PIPELINES;
	struct conn *c = is_pipelined && conns[at].fd >= 0 ? &conns[at] :
			 is_pipelined ? open_conn(at, at + 1) : open_conn(PIPELINES, CONNS_MAX);
	size_t len;

	count.tcp++;
	q->sent_us = now_us();
	q->conn = -1;
	if (!c || c->out_len + 2 + QUERY_MAX > sizeof(c->out)) {
		lose(q, q->sent_us);
		return;
	}
	do
		q->id = (uint16_t)draw();
	while (is_id_taken((int32_t)(c - conns), q->id));
	q->conn = (int32_t)(c - conns);
	len = put_query(c->out + c->out_len + 2, &questions[q->question], q->id,
			(enum variant)q->variant, q->scramble);
	c->out[c->out_len] = (uint8_t)(len >> 8);
	c->out[c->out_len + 1] = (uint8_t)len;
	c->out_len += len + 2;
	c->outstanding++;
	if (c->is_connected && !flush_conn(c))
		close_conn(c, now_us());
}

static struct query *find_tcp(int32_t conn, uint16_t id)
{
	for (size_t i = query_count; i-- > oldest;)
		if (queries[i].transport == TCP && queries[i].conn == conn && queries[i].id == id)
			return &queries[i];
	return NULL;
}

/* Takes whole messages out of the buffer. */
static void take_messages(struct conn *c)
{
	size_t at = 0;

	while (c->in_len - at >= 2) {
		size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];
		const uint8_t *message = c->in + at + 2;

		if (c->in_len - at - 2 < len)
			break;
		struct query *q = len < 12 ? NULL :
			find_tcp((int32_t)(c - conns), (uint16_t)(message[0] << 8 | message[1]));
		if (!q) {
			count.strangers++;
		} else {
			c->outstanding -= q->fate == WAITING && c->outstanding;
			take_reply(q, message, len, now_us());
		}
		at += 2 + len;
	}
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
}

static void on_conn_event(struct conn *c, uint32_t events)
{
	if (c->fd < 0)
		return;
	if (events & EPOLLOUT) {
		c->is_connected = true;
		if (!flush_conn(c)) {
			close_conn(c, now_us());
			return;
		}
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = read(c->fd, c->in + c->in_len, 2 + MESSAGE_MAX - c->in_len);

	if (n <= 0 && !(n < 0 && errno == EAGAIN)) {
		count.tcp_closed++;
		close_conn(c, now_us());
		return;
	}
	c->in_len += n > 0 ? (size_t)n : 0;
	take_messages(c);
	if (!c->is_pipeline && !c->outstanding)
		close_conn(c, now_us());
}

/* ---- The run ---- */

static void send_next(void)
{
	struct query *q = &queries[query_count];
	unsigned n = options.tcp_one_in;
	bool is_tcp = n && query_count % n == n - 1;

	*q = (struct query){
		.question = draw() % (uint32_t)question_count,
		.variant = draw() % VARIANTS, .transport = is_tcp ? TCP : UDP,
		.scramble = (uint8_t)draw(), .conn = -1,
	};
	query_count++;
	if (is_tcp)
		send_tcp(q, query_count / n % 2);
	else
		send_udp(q);
}

static void expire(uint64_t now)
{
	for (; oldest < query_count; oldest++) {
		struct query *q = &queries[oldest];

		if (q->fate != WAITING)
			continue;
		if (now - q->sent_us < options.patience_us)
			return;
		if (q->transport == TCP && q->conn >= 0 && !conns[q->conn].is_pipeline)
			close_conn(&conns[q->conn], now);
		else
			lose(q, now);
	}
}

static void handle_events(int timeout_ms)
{
	struct epoll_event events[256];
	int n = epoll_wait(epoll_fd, events, 256, timeout_ms);

	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 < UDP_SOCKETS)
			on_udp_readable((unsigned)events[i].data.u64);
		else
			on_conn_event(&conns[events[i].data.u64 - UDP_SOCKETS], events[i].events);
	}
}

static void print_progress(uint64_t now)
{
	static uint64_t next;

	if (now < next)
		return;
	next = now + US / 4;
	printf("{\"progress\": {\"sent\": %zu, \"answered\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"wrong\": %" PRIu64 ", \"error_rcodes\": %" PRIu64 "}}\n",
	       query_count, count.answered, count.lost, count.wrong, count.error_rcodes);
	fflush(stdout);
}

static void run(void)
{
	size_t total = options.rate * options.seconds;

	queries = calloc(total + 1, sizeof(*queries));
	if (!queries)
		die("out of memory");
	started_us = now_us();
	printf("{\"ready\": {\"questions\": %zu, \"started_us\": %" PRIu64 "}}\n", question_count,
	       started_us);
	fflush(stdout);
	while (oldest < query_count || (query_count < total && !is_stopped)) {
		uint64_t now = now_us();
		uint64_t due = (now - started_us) * options.rate / US + 1;

		/* a client that was held up does not make up for it in one burst */
		for (int burst = 0; burst < 64 && query_count < (due < total ? due : total); burst++)
			if (!is_stopped)
				send_next();
		handle_events(1);
		now = now_us();
		expire(now);
		print_progress(now);
	}
	/* a duplicate may still be on its way */
	for (uint64_t end = now_us() + US / 5; now_us() < end;)
		handle_events(10);
}

/* ---- The result ---- */

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void print_troubles(void)
{
	printf(", \"troubles\": [");
	for (size_t i = 0; i < trouble_count; i++) {
		const struct query *q = &queries[troubles[i].query];

		printf("%s{\"at_ms\": %.1f, \"sent_ms\": %.1f, \"kind\": \"%s\", \"rcode\": %d, \"question\": "
		       "\"%s\", \"by\": \"%s\", \"edns\": %s}", i ? ", " : "",
		       (double)troubles[i].at_us / 1000, (double)(q->sent_us - started_us) / 1000,
		       troubles[i].kind, troubles[i].rcode, questions[q->question].text,
		       q->transport == TCP ? "tcp" : "udp", q->variant == EDNS ? "true" : "false");
	}
	printf("]");
}

/* What a reply took counts without the time in which the machine stood still. */
static void take_off_what_was_held(void)
{
	uint64_t sum = 0;
	size_t n;
	struct held_time *held = held_times(&n);

	if (!held)
		die("out of memory");
	for (size_t i = 0; i < query_count; i++) {
		struct query *q = &queries[i];

		if (q->fate == ANSWERED)
			q->latency_us -= (uint32_t)held_within(held, n, q->sent_us, q->sent_us + q->latency_us);
	}
	for (size_t i = 0; i < n; i++)
		sum += held[i].to_us - held[i].from_us;
	printf(", \"held_ms\": %.1f, \"held\": [", (double)sum / 1000);
	for (size_t i = 0; i < n; i++)
		printf("%s[%.1f, %.1f]", i ? ", " : "", ((double)held[i].from_us - (double)started_us) / 1000,
		       (double)(held[i].to_us - held[i].from_us) / 1000);
	printf("]");
	free(held);
}

static void print_latencies(void)
{
	uint32_t *sorted = calloc(query_count + 1, sizeof(*sorted));
	size_t n = 0, slowest = 0;

	if (!sorted)
		die("out of memory");
	for (size_t i = 0; i < query_count; i++) {
		if (queries[i].fate != ANSWERED)
			continue;
		sorted[n++] = queries[i].latency_us;
		if (queries[i].latency_us > queries[slowest].latency_us)
			slowest = i;
	}
	qsort(sorted, n, sizeof(*sorted), compare_u32);
	printf(", \"slowest_ms\": %.3f, \"slowest_at_ms\": %.1f, \"slowest_by\": \"%s\"",
	       n ? sorted[n - 1] / 1000.0 : 0, (double)(queries[slowest].sent_us - started_us) / 1000,
	       queries[slowest].transport == TCP ? "tcp" : "udp");
	printf(", \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f", n ? sorted[n / 2] / 1000.0 : 0,
	       n ? sorted[n * 99 / 100] / 1000.0 : 0, n ? sorted[n * 999 / 1000] / 1000.0 : 0);
	free(sorted);
}

static void print_slow(void)
{
	unsigned n = 0;

	printf(", \"slow\": [");
	for (size_t i = 0; i < query_count && n < SLOW_MAX; i++)
		if (queries[i].fate == ANSWERED && queries[i].latency_us >= SLOW_US)
			printf("%s[\"%s\", %.1f, %.1f]", n++ ? ", " : "", queries[i].transport == TCP ? "tcp" : "udp",
			       (double)(queries[i].sent_us - started_us) / 1000, queries[i].latency_us / 1000.0);
	printf("]");
}

static void print_result(void)
{
	printf("{\"result\": {\"sent\": %zu, \"udp\": %" PRIu64 ", \"tcp\": %" PRIu64, query_count,
	       count.udp, count.tcp);
	printf(", \"answered\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"wrong\": %" PRIu64
	       ", \"error_rcodes\": %" PRIu64 ", \"duplicates\": %" PRIu64 ", \"late\": %" PRIu64
	       ", \"strangers\": %" PRIu64 ", \"tcp_closed\": %" PRIu64 ", \"socket_errors\": %" PRIu64
	       ", \"truncated\": %" PRIu64,
	       count.answered, count.lost, count.wrong, count.error_rcodes, count.duplicates, count.late,
	       count.strangers, count.tcp_closed, count.socket_errors, count.truncated);
	take_off_what_was_held();
	print_latencies();
	print_slow();
	printf(", \"rcodes\": {");
	for (int i = 0, n = 0; i < 16; i++)
		if (count.by_rcode[i])
			printf("%s\"%d\": %" PRIu64, n++ ? ", " : "", i, count.by_rcode[i]);
	printf("}");
	print_troubles();
	printf("}}\n");
}

static void parse_address(char *text, struct sockaddr_storage *a, socklen_t *len)
{
	char *at = strchr(text, '@');
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

	if (!at)
		die("address without port: %s", text);
	*at = '\0';
	uint16_t port = htons((uint16_t)strtoul(at + 1, NULL, 10));

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		*len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = port;
		*len = sizeof(*v6);
	} else {
		die("not an address: %s", text);
	}
}

static void parse_options(int argc, char **argv)
{
	int o;

	while ((o = getopt(argc, argv, "s:t:q:r:d:p:T:SF")) != -1) {
		switch (o) {
		case 's': parse_address(optarg, &options.server, &options.server_len); break;
		case 't': parse_address(optarg, &options.truth, &options.truth_len); break;
		case 'q': options.questions_file = optarg; break;
		case 'r': options.rate = strtoull(optarg, NULL, 10); break;
		case 'd': options.seconds = strtoull(optarg, NULL, 10); break;
		case 'p': options.patience_us = strtoull(optarg, NULL, 10) * 1000; break;
		case 'T': options.tcp_one_in = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'S': options.is_serial_free = true; break;
		case 'F': options.follows_truncation = true; break;
		default: die("see the head of load.c for the options");
		}
	}
	if (!options.server_len || !options.truth_len || !options.questions_file || !options.rate)
		die("-s, -t and -q are needed");
}

static void on_signal(int number)
{
	(void)number;
	is_stopped = true;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 8192, 8192 };

	parse_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	setrlimit(RLIMIT_NOFILE, &files);
	for (size_t i = 0; i < CONNS_MAX; i++)
		conns[i].fd = -1;
	read_questions();
	learn();
	if (!held_start())
		die("no witness of the machine's own pauses");
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	open_udp();
	run();
	print_result();
	return 0;
}
