/* SPDX-License-Identifier: ISC */
/*
 * asking - what the clients of `make bench` share: the questions they ask, and how long it took.
 *
 * Purpose:  a file of questions made into queries once; latencies kept until the end, and their percentiles.
 * Memory:   of a fixed size, never freed: a client runs once.
 * Failure:  die() says why, and ends the program.
 *
 * A file has lines of NAME TYPE-NUMBER, or NAME TYPE-NUMBER do.
 */
#ifndef TESTS_BENCH_ASKING_H
#define TESTS_BENCH_ASKING_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/name.h"
#include "cache/wire.h"

enum { QUERY_MAX = 300, QUESTIONS_MAX = 1 << 20, LATENCIES_MAX = 1 << 22 };

struct question { uint16_t len; uint8_t wire[QUERY_MAX]; };

static struct question *questions;
static size_t question_count, question_at;

/* Microseconds. */
struct latencies { size_t count; uint32_t us[LATENCIES_MAX]; };

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* ---- Questions ---- */

static void add_question(const char *text, unsigned type, bool has_do)
{
	static const uint8_t head[12] = { 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1 };
	struct question *q = &questions[question_count++];
	struct wire_out o = wire_into(q->wire, sizeof(q->wire));
	uint8_t name[NAME_LEN_MAX];

	if (!name_from_text(text, name))
		die("no name: %s", text);
	wire_add_bytes(&o, head, sizeof(head));
	wire_add_bytes(&o, name, name_len(name));
	wire_add_u16(&o, (uint16_t)type);
	wire_add_u16(&o, CLASS_IN);
	wire_add_u8(&o, 0);
	wire_add_u16(&o, TYPE_OPT);
	wire_add_u16(&o, 1232);
	wire_add_u32(&o, has_do ? 0x8000 : 0);
	wire_add_u16(&o, 0);
	q->len = (uint16_t)o.len;
}

static void read_questions(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[512], name[400], word[8];
	unsigned type;

	if (!f)
		die("%s: %s", path, strerror(errno));
	questions = calloc(QUESTIONS_MAX, sizeof(*questions));
	while (fgets(line, sizeof(line), f) && question_count < QUESTIONS_MAX) {
		int n = sscanf(line, "%399s %u %7s", name, &type, word);

		if (n >= 2)
			add_question(name, type, n == 3);
	}
	fclose(f);
	if (question_count == 0)
		die("%s: no questions", path);
}

/* In the order of the file, over and over. */
static const struct question *next_question(void)
{
	const struct question *q = &questions[question_at];

	question_at = (question_at + 1) % question_count;
	return q;
}

/* ---- Latencies ---- */

static void note_latency(struct latencies *l, uint64_t us)
{
	if (l->count < LATENCIES_MAX)
		l->us[l->count++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void sort_latencies(struct latencies *l)
{
	qsort(l->us, l->count, sizeof(*l->us), compare);
}

/* Of those sorted. */
static uint32_t percentile(const struct latencies *l, unsigned per_mille)
{
	return l->count ? l->us[l->count * per_mille / 1000] : 0;
}

/* As members of a JSON object. Of those sorted. */
static void print_percentiles(const struct latencies *l, const char *prefix)
{
	printf("\"%sp50_us\": %u, \"%sp99_us\": %u, \"%sp999_us\": %u", prefix, percentile(l, 500), prefix, percentile(l, 990),
	       prefix, percentile(l, 999));
}

#endif
