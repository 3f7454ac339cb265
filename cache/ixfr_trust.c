/* SPDX-License-Identifier: ISC */
#include "cache/ixfr_trust.h"

#include "cache/clock.h"

bool ixfr_is_trusted(const struct ixfr_trust *t, uint64_t now_us)
{
	return now_us >= t->until_us;
}

/* The first one may be chance: a journal that was just cut, a connection that broke. */
static uint64_t wait_s(unsigned failures)
{
	uint64_t wait = IXFR_WAIT_S;

	if (failures < 2)
		return 0;
	for (unsigned i = 2; i < failures && wait < IXFR_WAIT_MAX_S; i++)
		wait *= 2;
	return wait < IXFR_WAIT_MAX_S ? wait : IXFR_WAIT_MAX_S;
}

void ixfr_failed(struct ixfr_trust *t, uint64_t now_us)
{
	if (t->failures > 0 && now_us >= t->until_us + IXFR_FORGET_S * US_PER_S)
		t->failures = 0;
	if (t->failures < UINT32_MAX)
		t->failures++;
	t->until_us = now_us + wait_s(t->failures) * US_PER_S;
}

void ixfr_worked(struct ixfr_trust *t)
{
	*t = (struct ixfr_trust){ 0 };
}
