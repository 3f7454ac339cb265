/* SPDX-License-Identifier: ISC */
#include "proxy/conf_guess.h"

#include <stdio.h>
#include <string.h>

enum { GUESS_MAX = 32 };	/* longer names are no slips of our names */

/* Levenshtein's distance: letters to insert, delete or replace. Both at most GUESS_MAX long. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned row[GUESS_MAX + 1];

	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned above = row[j];
			unsigned best = corner + (a[i - 1] != b[j - 1]);

			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			corner = above;
			row[j] = best;
		}
	}
	return row[b_len];
}

/* The best of several guesses so far. */
struct guess {
	const char *name;
	size_t len;
	const char *best;
	unsigned cost;		/* only guesses below it count */
};

static struct guess guess_for(const char *name, size_t len)
{
	return (struct guess){ .name = name, .len = len, .cost = len < 4 ? 2 : len < 8 ? 3 : 4 };
}

static void guess_try(struct guess *g, const char *known)
{
	size_t len = strlen(known);

	if (g->len > GUESS_MAX || len > GUESS_MAX || len == 0)
		return;
	unsigned cost = distance(g->name, g->len, known, len);

	if (cost < g->cost) {
		g->best = known;
		g->cost = cost;
	}
}

static void guess_in(struct guess *g, enum conf_section section)
{
	for (size_t i = 0; i < conf_row_count; i++)
		if (conf_rows[i].section == section)
			guess_try(g, conf_rows[i].name);
	for (unsigned i = 0; i < SECTION_COUNT; i++)
		if (conf_sections[i].parent == section)
			guess_try(g, conf_sections[i].name);
}

/* The section that does know this very name. */
static enum conf_section home_of(const char *name, size_t len)
{
	for (unsigned i = 0; i < SECTION_COUNT; i++)
		if (conf_row_find((enum conf_section)i, name, len) ||
		    conf_section_find((enum conf_section)i, name, len) != SECTION_NONE)
			return (enum conf_section)i;
	return SECTION_NONE;
}

void conf_name_mend(enum conf_section section, const char *name, size_t len, char *mend,
		    size_t room)
{
	enum conf_section home = home_of(name, len);
	struct guess g = guess_for(name, len);

	guess_in(&g, section);
	guess_try(&g, "include");
	for (unsigned i = 0; i < SECTION_COUNT && !g.best; i++)
		guess_in(&g, (enum conf_section)i);	/* its only fault may not be the place */

	if (home == SECTION_ROOT)
		snprintf(mend, room, "it belongs outside of all sections");
	else if (home != SECTION_NONE)
		snprintf(mend, room, "it belongs in section '%s'", conf_sections[home].name);
	else if (g.best)
		snprintf(mend, room, "did you mean '%s'?", g.best);
	else
		snprintf(mend, room, "understudy.conf(5) lists all options");
}

void conf_word_mend(const struct conf_word *words, const char *text, char *mend, size_t room)
{
	struct guess g = guess_for(text, strlen(text));

	for (const struct conf_word *w = words; w->text; w++)
		guess_try(&g, w->text);
	if (g.best)
		snprintf(mend, room, "did you mean '%s'?", g.best);
	else
		conf_words_list(words, mend, room);
}
