/* SPDX-License-Identifier: ISC */
#include "proxy/stats.h"

void stats_sum(struct stats *const *workers, unsigned count, struct stats_row rows[STATS_ROWS])
{
#define STATS_NAME(field, sentence) \
	rows[STATS_INDEX_##field] = (struct stats_row){ .name = #field, .text = (sentence) };
	STATS_TABLE(STATS_NAME)
#undef STATS_NAME

	for (unsigned i = 0; i < count; i++) {
#define STATS_ADD(field, sentence) \
		rows[STATS_INDEX_##field].value += counter_get(&workers[i]->field);
		STATS_TABLE(STATS_ADD)
#undef STATS_ADD
	}
}
