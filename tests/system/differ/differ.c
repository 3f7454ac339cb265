/* SPDX-License-Identifier: ISC */
/*
 * differ - asks NSD, Knot, BIND and the mirror the same questions and compares their replies.
 *
 * Usage:    differ NSD=ADDRESS@PORT KNOT=... BIND=... MIRROR=... [ORIGIN@SERVER ...] < questions
 *           ORIGIN in hexadecimal wire form; SERVER (0 NSD, 1 Knot, 2 BIND) transfers it to us
 * Input:    questions, each: u8 1 TCP | 2 EDNS | 4 DO | 8 RD | 16 CD, u8 bits of the servers that
 *           have the zone, u16 size, u16 type, u16 class, u8 length, name. Network order.
 * Output:   the first differences with all answers, then counts
 *           DIFFER_ONLY in the environment: shows only the kinds that have this in their text
 * Exit:     0 no difference, 1 some, 2 it could not be tried
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>

#include "tests/system/differ/compare.h"
#include "tests/system/differ/net.h"
#include "tests/system/differ/truth.h"

enum { SHOWN_MAX = 40, SHOWN_OF_A_KIND = 2, KINDS_MAX = 256, LINES_MAX = 6 };

struct kind {
	char what[160];
	bool is_good;
	unsigned long count;
};

static struct kind kinds[KINDS_MAX];
static unsigned kind_count;
static unsigned long asked, differing;
static unsigned shown;
static const char *shown_only = "";	/* differences whose kind has this in its text */
static struct server servers[SERVERS_MAX];
static struct packet packets[SERVERS_MAX];

struct batch {
	unsigned count;
	struct question questions[BATCH_MAX];
	struct query queries[BATCH_MAX];
	uint8_t names[BATCH_MAX][NAME_MAX_LEN];
};

static struct batch batches[2];		/* UDP, TCP */

static struct kind *kind_of(const char *what, bool is_good)
{
	for (unsigned i = 0; i < kind_count; i++)
		if (kinds[i].is_good == is_good && strcmp(kinds[i].what, what) == 0)
			return &kinds[i];
	if (kind_count == KINDS_MAX)
		errx(2, "too many kinds of differences");
	struct kind *k = &kinds[kind_count++];

	snprintf(k->what, sizeof(k->what), "%s", what);
	k->is_good = is_good;
	return k;
}

/* ---- The report ---- */

/* A long run of one character as that character and a count, tabs as blanks. */
static void shorten(char *text)
{
	char *to = text;

	for (const char *c = text; *c && *c != '\n';) {
		size_t run = 1;

		while (c[run] == *c)
			run++;
		*to++ = *c == '\t' ? ' ' : *c;
		if (run > 8)
			to += sprintf(to, "{%zu}", run);
		c += run > 8 ? run : 1;
	}
	*to = '\0';
}

static bool is_same_set(const ldns_rr *a, const ldns_rr *b)
{
	return a && ldns_rr_get_type(a) == ldns_rr_get_type(b) &&
	       ldns_dname_compare(ldns_rr_owner(a), ldns_rr_owner(b)) == 0;
}

/* One line for the records of an RRset that follow each other. */
static void print_list(const char *title, const ldns_rr_list *list)
{
	size_t count = ldns_rr_list_rr_count(list), lines = 0;

	for (size_t i = 0, next; i < count && lines++ < LINES_MAX; i = next) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		char *text = ldns_rr2str(rr);

		next = i + 1;
		while (is_same_set(next < count ? ldns_rr_list_rr(list, next) : NULL, rr))
			next++;
		if (!text)
			continue;
		shorten(text);
		printf("      %s %.150s", title, text);
		printf(next - i > 1 ? " and %zu more\n" : "\n", next - i - 1);
		free(text);
	}
	if (lines > LINES_MAX)
		printf("      %s ... %zu in all\n", title, count);
}

static void print_reply(const struct server *s, const struct packet *p, const struct reply *r)
{
	ldns_pkt *pkt = NULL;

	if (r->len == 0) {
		printf("    %s: no reply\n", s->name);
		return;
	}
	printf("    %s: rcode %u%s%s%s%s %zu octets%s%s\n", s->name, p->rcode,
	       p->flags & F_AA ? " AA" : "", p->flags & F_TC ? " TC" : "",
	       p->has_opt ? " OPT" : "", p->is_dnssec_ok ? " DO" : "", p->len,
	       p->fault ? ", " : "", p->fault ? p->fault : "");
	if (ldns_wire2pkt(&pkt, r->bytes, r->len) != LDNS_STATUS_OK)
		return;
	print_list("answer    ", ldns_pkt_answer(pkt));
	print_list("authority ", ldns_pkt_authority(pkt));
	print_list("additional", ldns_pkt_additional(pkt));
	ldns_pkt_free(pkt);
}

static void print_difference(const struct question *q, const char *what, unsigned index)
{
	ldns_rdf *name = ldns_dname_new_frm_data(q->name_len, q->name);
	char *text = ldns_rdf2str(name), *type = ldns_rr_type2str(q->type);

	shorten(text);
	printf("%s: %s %s class %u, %s", what, text, type, q->rdclass, q->is_tcp ? "TCP" : "UDP");
	if (q->size)
		printf(", EDNS %u%s", q->size, q->is_dnssec_ok ? " DO" : "");
	printf("%s%s\n", q->flags & F_RD ? ", RD" : "", q->flags & F_CD ? ", CD" : "");
	for (unsigned i = 0; i < SERVERS_MAX; i++)
		if (q->servers >> i & 1)
			print_reply(&servers[i], &packets[i], &servers[i].replies[index]);
	printf("\n");
	free(text);
	free(type);
	ldns_rdf_deep_free(name);
}

static void judge(const struct batch *b, unsigned index)
{
	const struct question *q = &b->questions[index];

	for (unsigned i = 0; i < SERVERS_MAX; i++)
		packet_parse(&packets[i], b->queries[index].bytes, b->queries[index].len,
			     servers[i].replies[index].bytes, servers[i].replies[index].len);
	struct verdict v = compare(q, packets);

	asked++;
	if (!v.what)
		return;
	struct kind *k = kind_of(v.what, v.is_good);

	k->count++;
	differing += !v.is_good;
	if (!v.is_good && shown < SHOWN_MAX && strstr(v.what, shown_only) &&
	    k->count <= (*shown_only ? 2 : SHOWN_OF_A_KIND)) {
		shown++;
		print_difference(q, v.what, index);
	}
}

/* ---- Asking ---- */

static void ask_batch(struct batch *b)
{
	net_ask(servers, SERVERS_MAX, b->queries, b->count, b == &batches[1]);
	for (unsigned i = 0; i < b->count; i++)
		judge(b, i);
	b->count = 0;
}

static void put_query(struct query *to, const struct question *q)
{
	uint8_t *at = to->bytes;

	memset(at, 0, 12);
	at[2] = (uint8_t)(q->flags >> 8);
	at[3] = (uint8_t)q->flags;
	at[5] = 1;
	at[11] = q->size != 0;
	memcpy(at + 12, q->name, q->name_len);
	at += 12 + q->name_len;
	memcpy(at, (uint8_t[]){ (uint8_t)(q->type >> 8), (uint8_t)q->type,
				(uint8_t)(q->rdclass >> 8), (uint8_t)q->rdclass }, 4);
	at += 4;
	if (q->size) {
		memcpy(at, (uint8_t[]){ 0, 0, T_OPT, (uint8_t)(q->size >> 8), (uint8_t)q->size,
					0, 0, q->is_dnssec_ok ? 0x80 : 0, 0, 0, 0 }, 11);
		at += 11;
	}
	to->len = (size_t)(at - to->bytes);
	to->servers = q->servers;
}

/* False at the end of the questions. */
static bool read_question(void)
{
	uint8_t head[9];

	if (fread(head, sizeof(head), 1, stdin) != 1)
		return false;
	struct batch *b = &batches[head[0] & 1];
	struct question *q = &b->questions[b->count];
	uint8_t *name = b->names[b->count];

	*q = (struct question){
		.is_tcp = (head[0] & 1) != 0, .is_dnssec_ok = (head[0] & 4) != 0,
		.flags = (uint16_t)((head[0] & 8 ? F_RD : 0) | (head[0] & 16 ? F_CD : 0)),
		.size = head[0] & 2 ? read_u16(head + 2) : 0, .type = read_u16(head + 4),
		.rdclass = read_u16(head + 6), .servers = head[1] | 1u << MIRROR,
		.name_len = head[8], .name = name,
	};
	if (fread(name, q->name_len, 1, stdin) != 1)
		errx(2, "the questions end inside a name");
	put_query(&b->queries[b->count++], q);
	if (b->count == BATCH_MAX)
		ask_batch(b);
	return true;
}

static void learn_zone(const char *text)
{
	uint8_t origin[NAME_MAX_LEN];
	size_t len = strcspn(text, "@") / 2;
	unsigned byte;

	if (len == 0 || len > sizeof(origin) || text[2 * len] != '@')
		errx(2, "%s: no ORIGIN@SERVER", text);
	for (size_t i = 0; i < len; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			errx(2, "%s: no hexadecimal", text);
		origin[i] = (uint8_t)byte;
	}
	truth_learn(&servers[(text[2 * len + 1] - '0') & 3], origin, len);
}

static void print_counts(void)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < kind_count; i++)
			if (kinds[i].is_good == (pass == 0))
				printf("%s %8lu  %s\n", pass ? "DIFFERS " : "excused ",
				       kinds[i].count, kinds[i].what);
	printf("%lu questions, %lu differences\n", asked, differing);
}

int main(int argc, char **argv)
{
	if (argc < 1 + SERVERS_MAX) {
		fprintf(stderr, "usage: differ NSD=A@P KNOT=A@P BIND=A@P MIRROR=A@P "
				"[ORIGIN@SERVER ...] < questions\n");
		return 2;
	}
	if (getenv("DIFFER_ONLY"))
		shown_only = getenv("DIFFER_ONLY");
	for (unsigned i = 0; i < SERVERS_MAX; i++)
		server_init(&servers[i], argv[1 + i]);
	for (int i = 1 + SERVERS_MAX; i < argc; i++)
		learn_zone(argv[i]);
	while (read_question())
		;
	for (unsigned i = 0; i < 2; i++)
		if (batches[i].count > 0)
			ask_batch(&batches[i]);
	print_counts();
	return differing > 0;
}
