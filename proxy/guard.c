/* SPDX-License-Identifier: ISC */
#include "proxy/guard.h"

#include <stdio.h>
#include <string.h>

enum {
	EVERY_US = 10 * 1000000,
	LOOP_EVERY_US = 1000000,	/* while the loop is there */
	HURRY_US = 100 * 1000,
	ALARM_US = 250 * 1000,		/* hints may come with each tick */
	HURRY_LEAST = 3,		/* one may be lost */
	HURRY_MOST = 16,
	CLEAN_ROUNDS = 3,		/* who balances sends some of them elsewhere */
	PASS_MOST = GUARD_MEMORY / 2,	/* in a second */
	SECOND_US = 1000000,
};

/* ---- The name ---- */

bool guard_name(const struct guard_mark *m, const uint8_t *zone, uint8_t name[NAME_LEN_MAX])
{
	char label[GUARD_LABEL_LEN + 1];
	size_t len = name_len(zone);

	if (1 + GUARD_LABEL_LEN + len > NAME_LEN_MAX)
		return false;
	snprintf(label, sizeof(label), GUARD_PREFIX "%016llx%04x", (unsigned long long)m->number,
		 m->backend);
	name[0] = GUARD_LABEL_LEN;
	memcpy(name + 1, label, GUARD_LABEL_LEN);
	memcpy(name + 1 + GUARD_LABEL_LEN, zone, len);
	return true;
}

/* -1: no digit. */
static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const uint8_t *at, size_t len, uint64_t *value)
{
	*value = 0;
	for (size_t i = 0; i < len; i++) {
		int d = digit(at[i]);

		if (d < 0)
			return false;
		*value = *value << 4 | (unsigned)d;
	}
	return true;
}

bool guard_read(const uint8_t *qname, struct guard_mark *m)
{
	const uint8_t *hex = qname + 1 + GUARD_PREFIX_LEN;
	uint64_t backend;

	if (!guard_is_likely(qname) || !read_hex(hex, 16, &m->number)
	    || !read_hex(hex + 16, 4, &backend))
		return false;
	m->backend = (uint16_t)backend;
	return m->number != 0;
}

/* ---- When to ask, and what follows ---- */

void guard_hurry(struct guard *g, size_t zones, uint64_t now)
{
	g->hurry = zones < HURRY_MOST ? (unsigned)zones : HURRY_MOST;
	if (g->hurry < HURRY_LEAST)
		g->hurry = HURRY_LEAST;
	if (g->zone >= zones)
		g->zone = 0;
	g->next_us = now;
}

void guard_alarm(struct guard *g, uint64_t now)
{
	uint64_t at = g->asked_us + ALARM_US;

	if (at < now)
		at = now;
	if (at < g->next_us)
		g->next_us = at;
}

void guard_on_hint(struct guard *g, size_t zone, uint64_t now)
{
	if (!g->is_looping && !g->is_hinted && !g->was_hinted) {
		g->turn = g->zone;
		g->zone = zone;
		g->is_hinted = true;
	}
	guard_alarm(g, now);
}

bool guard_is_due(const struct guard *g, uint64_t now)
{
	return g->number == 0 && now >= g->next_us;
}

static uint64_t pause_us(const struct guard *g, uint32_t chance)
{
	if (g->is_looping)
		return LOOP_EVERY_US;
	if (g->hurry > 0)
		return HURRY_US;
	/* Three quarters to five: a hundred backends that began together do not stay together. */
	return EVERY_US * 3ull / 4 + EVERY_US / 2ull * chance / GUARD_CHANCE;
}

void guard_on_asked(struct guard *g, uint64_t number, uint32_t chance, uint64_t now)
{
	if (g->hurry > 0)
		g->hurry--;
	g->number = number;
	g->is_found = false;
	g->asked_us = now;
	g->next_us = now + pause_us(g, chance);
}

enum guard_news guard_on_return(struct guard *g, uint64_t number)
{
	if (g->number == 0 || number != g->number || g->is_found)
		return GUARD_NOTHING;
	g->is_found = true;
	g->is_looping = true;
	g->clean = 0;
	if (g->next_us > g->asked_us + LOOP_EVERY_US)
		g->next_us = g->asked_us + LOOP_EVERY_US;
	return GUARD_FOUND;
}

enum guard_news guard_on_end(struct guard *g, size_t zones, bool proves)
{
	g->number = 0;
	if (g->is_looping) {
		g->clean += proves && !g->is_found;
		if (g->clean < CLEAN_ROUNDS)
			return GUARD_NOTHING;
		g->is_looping = false;
		return GUARD_MENDED;
	}
	if (!g->is_hinted)
		g->turn = g->zone + 1;
	g->zone = g->turn < zones ? g->turn : 0;
	g->was_hinted = g->is_hinted;
	g->is_hinted = false;
	return GUARD_NOTHING;
}

/* ---- What a worker remembers ---- */

void guard_remember(struct guard_memory *m, uint64_t number)
{
	m->seen[m->next++ % GUARD_MEMORY] = number;
}

enum guard_pass guard_pass(struct guard_memory *m, uint64_t number, uint64_t now)
{
	for (unsigned i = 0; i < GUARD_MEMORY; i++)
		if (m->seen[i] == number)
			return GUARD_SEEN;
	if (now - m->since_us >= SECOND_US) {
		m->since_us = now;
		m->passed = 0;
	}
	if (m->passed >= PASS_MOST)
		return GUARD_TOO_MANY;
	m->passed++;
	guard_remember(m, number);
	return GUARD_PASS;
}
