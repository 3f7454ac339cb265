/* SPDX-License-Identifier: ISC */
#include "proxy/limit.h"

#include <sched.h>
#include <stddef.h>
#include <string.h>

enum {
	WINDOW_US = 30 * 1000,		/* a judgement takes so long at the least */
	WINDOW_MAX_US = 1000 * 1000,	/* after so long ENOUGH_SLOW will do */
	WINDOW_OLD_US = 2 * WINDOW_MAX_US,	/* what is older says nothing of now */
	SETTLE_US = 25 * 1000,		/* after a cut verdicts of the old pace still come in */
	ENOUGH = 16,			/* verdicts that a window needs; while limited: */
	ENOUGH_LIMITED = 8,
	ENOUGH_SLOW = 4,		/* ... in a long one */
	ENOUGH_LONG = 64,
	ALIVE_MIN = 4,			/* answers without which this is silence */
	/* Losses, of a thousand: */
	LOSS_BEGIN = 333,		/* in two windows in a row it looks like overload; */
	LOSS_SURE = 500,		/* so many do in one */
	LOSS_CUT = 250,			/* while limited: too many */
	LOSS_CALM = 100,		/* fewer are well */
	LOSS_NONE = 10,
	LOSS_RATIONED = 50, RATIONED = 100,	/* so many truncated besides, more than usual: RRL */
	BAD_RATIONED = 150,		/* then so many lost or truncated are overload */
	RATIONED_SURE = 250,		/* where much is lost, so many truncated say it at once */
	CUTS_MAX = 5,			/* to 4/5 of what is answered, each time */
	CUTS_TELLING = 2,		/* so many should have halved the loss */
	CUT_MOST = 4,			/* to such a part all in all: loss that stays then is another's */
	ODD_MAX = 3,			/* relapses in a row at a rate that had been found good */
	DRAIN_US = 2000 * 1000,		/* a queue, or the memory of RRL, is given time to drain */
	SEEK_US = 5 * 1000 * 1000,	/* neither better nor worse for so long is no overload */
	RATE_MIN = 5,
	RATE_MAX = 1000000,
	BURST_US = 20 * 1000,		/* so much of the rate may go at once */
	GROWTH_PERCENT = 5,		/* a second; doubled with each second without a loss, ... */
	GROWTH_DOUBLINGS = 5,		/* ... so often */
	UNNEEDED_US = 5 * 1000 * 1000,
	BLIND_US = 10 * 1000 * 1000,	/* doubled each time that it was useless, ... */
	BLIND_DOUBLINGS = 5,		/* ... up to five minutes */
	TRIAL_TIMES = 3,		/* so many times the rate goes there for a trial, ... */
	TRIAL_LEAST_US = 100 * 1000,	/* ... for so long: what a server saved up tells nothing; */
	TRIAL_US = 250 * 1000,		/* it is passed after that: losses show after a deadline */
	TRIAL_GOOD = 2,			/* so many times the rate answered: the limit was far too low */
	TRIAL_PAUSE_US = 500 * 1000,	/* before the first; doubled with each that failed, ... */
	TRIAL_DOUBLINGS = 5,		/* ... so often */
	TRIALS_TELLING = 4,		/* so many show that it was no whim of clients */
	HAND_IN_US = 2 * 1000,		/* a worker counts for itself so long at the least */
	SECOND_US = 1000 * 1000,
};

#define FORGET_US	(600ull * SECOND_US)	/* so long without a limit: what was useless is forgotten */

static uint64_t get(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

static void set(_Atomic uint64_t *at, uint64_t value)
{
	atomic_store_explicit(at, value, memory_order_relaxed);
}

static uint32_t pace_of(const struct limit *l)
{
	return atomic_load_explicit(&l->pace, memory_order_relaxed);
}

/* ---- Sending ---- */

bool limit_allows(const struct limit *l, uint64_t now)
{
	return pace_of(l) == 0 || get(&l->next_us) <= now + BURST_US;
}

void limit_on_sent(struct limit *l, uint64_t now)
{
	uint32_t pace = pace_of(l);
	uint64_t next = get(&l->next_us), after;

	if (pace == 0)
		return;
	do
		after = (next > now ? next : now) + SECOND_US / pace;
	while (!atomic_compare_exchange_weak_explicit(&l->next_us, &next, after, memory_order_relaxed,
						      memory_order_relaxed));
}

/* ---- The rate ---- */

/* `at` may be ahead: until then come verdicts of another pace, and they are void. */
static void begin_window(struct limit *l, uint64_t at)
{
	if (at > l->latest_us)
		l->void_us = at;
	set(&l->window_us, at);
	l->window = (struct limit_count){ 0 };
}

static void set_rate(struct limit *l, uint64_t rate)
{
	l->rate = (uint32_t)(rate < RATE_MIN ? RATE_MIN : rate > RATE_MAX ? RATE_MAX : rate);
}

static void turn_off(struct limit *l)
{
	l->state = LIMIT_OFF;
	l->rate = 0;
	l->cuts = l->doubts = l->trials = 0;
	l->is_rationed = l->is_trying = false;
}

/* It answers as little when it is asked less, or as much when it is asked more. */
static void give_up(struct limit *l, uint64_t now)
{
	turn_off(l);
	l->blind_us = now + ((uint64_t)BLIND_US << l->useless);
	if (l->useless < BLIND_DOUBLINGS)
		l->useless++;
}

static uint32_t of_thousand(uint32_t part, const struct limit *l)
{
	return part * 1000 / (l->window.answered + l->window.lost);
}

/* Truncated answers beyond those that are truly too long. */
static uint32_t rationed(const struct limit *l)
{
	uint32_t usual = (l->window.answered + l->window.lost) * l->usual_truncated / 1000;

	return l->is_rationed && l->window.truncated > usual ? l->window.truncated - usual : 0;
}

/* Of a thousand. Who is rationed gets TC instead of an answer: that is loss, too. */
static uint32_t loss_of(const struct limit *l)
{
	return of_thousand(l->window.lost + rationed(l), l);
}

/* Over a longer time than a window: are answers truncated that used not to be? */
static void note_truncated(struct limit *l)
{
	uint32_t verdicts, truncated, lost;

	l->long_answered += l->window.answered;
	l->long_truncated += l->window.truncated;
	l->long_lost += l->window.lost;
	verdicts = l->long_answered + l->long_lost;
	if (verdicts < ENOUGH_LONG)
		return;
	truncated = l->long_truncated * 1000 / verdicts;
	lost = l->long_lost * 1000 / verdicts;
	if (lost < LOSS_NONE && l->state == LIMIT_OFF)
		l->usual_truncated = (uint16_t)((3u * l->usual_truncated + truncated) / 4);
	if (lost >= LOSS_RATIONED && truncated >= (uint32_t)l->usual_truncated + RATIONED)
		l->is_rationed = true;
	else if (l->state == LIMIT_OFF)
		l->is_rationed = false;
	l->long_answered = l->long_truncated = l->long_lost = 0;
}

/* Its answers come, though too late for us: something is waiting in a queue. */
static bool is_draining(const struct limit *l)
{
	return l->window.late * 2 >= l->window.lost;
}

/* To less than what was answered, so that what waits in its queue is worked off. */
static void cut(struct limit *l, uint64_t span_us, uint64_t now)
{
	uint32_t good = l->window.answered + l->window.late - rationed(l);
	uint64_t rate = (uint64_t)good * SECOND_US / span_us;

	if (l->state != LIMIT_OFF && rate > l->rate)
		rate = l->rate;
	rate = is_draining(l) ? rate / 2 : rate * 4 / 5;
	if (l->state != LIMIT_OFF && rate < l->rate / 2)
		rate = l->rate / 2;	/* small windows know little */
	if (l->state != LIMIT_OFF && rate < l->least)
		rate = l->least;
	l->needed_us = now;
	set_rate(l, rate);
	l->base = l->rate;
}

static void begin(struct limit *l, uint64_t span_us, uint64_t now)
{
	l->first_loss = (uint16_t)loss_of(l);
	l->begun_us = l->lost_us = now;
	set(&l->next_us, now);
	l->trial_us = now + TRIAL_PAUSE_US;
	l->usual_loss = 0;
	l->odd = 0;
	if (now - l->blind_us >= FORGET_US)
		l->useless = 0;
	cut(l, span_us, now);
	l->state = LIMIT_SEEKING;
	l->least = l->rate / CUT_MOST;
	l->doubts = 0;
}

static void grow(struct limit *l, uint64_t span_us, uint64_t now)
{
	uint64_t calm_s = (now - l->lost_us) / SECOND_US;
	uint64_t percent = (uint64_t)GROWTH_PERCENT
			   << (calm_s < GROWTH_DOUBLINGS ? calm_s : GROWTH_DOUBLINGS);
	uint64_t more = (uint64_t)l->rate * percent * span_us / 100 / SECOND_US;

	set_rate(l, l->rate + (more > 0 ? more : 1));
}

/* Loss goes on as before, however little it is asked. */
static bool is_useless(const struct limit *l, uint64_t now)
{
	if (l->window.answered + l->window.late == 0)
		return true;
	if ((is_draining(l) || l->is_rationed) && now - l->begun_us < DRAIN_US)
		return false;
	return l->cuts > CUTS_MAX || now - l->begun_us > SEEK_US
	       || (l->cuts >= CUTS_TELLING && loss_of(l) * 2 > l->first_loss);
}

/* Is so much lost that there must be a limit? */
static bool is_overload(const struct limit *l)
{
	return loss_of(l) >= (l->is_rationed ? BAD_RATIONED : LOSS_BEGIN);
}

/* ---- Trials ---- */

static void begin_trial(struct limit *l, uint64_t now)
{
	l->is_trying = true;
	l->trial_good = l->trial_spared = 0;
	l->trial_us = now + TRIAL_US;
	set(&l->tried_us, l->trial_us);
}

/* A limit is needed; but not a lower one than what it answered. Its queue is worked off first. */
static void fail_trial(struct limit *l, uint64_t took_us, uint64_t now)
{
	uint64_t good = l->trial_good * (uint64_t)SECOND_US / took_us;
	bool was_low = good >= (uint64_t)l->rate * TRIAL_GOOD;

	l->is_trying = false;
	l->needed_us = now;
	set(&l->next_us, now + (took_us < TRIAL_US ? took_us : TRIAL_US) * (TRIAL_TIMES - 1));
	set(&l->tried_us, get(&l->next_us));
	l->trial_us = now + ((uint64_t)TRIAL_PAUSE_US << l->trials);
	if (good * 4 / 5 > l->rate) {
		set_rate(l, good * 4 / 5);
		l->base = 0;
	}
	if (l->trials < TRIAL_DOUBLINGS && !was_low)
		l->trials++;
}

static void pass_trial(struct limit *l, uint64_t now)
{
	if (l->trials >= TRIALS_TELLING)
		turn_off(l);			/* it can take all again */
	else
		give_up(l, now);
}

/* It answered all that it got, and more is there. */
static void prolong_trial(struct limit *l, uint64_t now)
{
	set_rate(l, (uint64_t)l->rate * TRIAL_TIMES);
	begin_trial(l, now);
}

/* Much is lost, and much more than under the limit. */
static bool does_harm(const struct limit *l)
{
	return is_overload(l) && loss_of(l) >= 2u * l->usual_loss;
}

static void judge_trial(struct limit *l, uint64_t now)
{
	uint64_t took_us = now + TRIAL_US - l->trial_us;

	if (took_us > WINDOW_MAX_US)
		took_us = WINDOW_MAX_US;	/* nobody asked meanwhile */
	l->trial_good += l->window.answered + l->window.late - rationed(l);
	l->trial_spared += l->window.spared;
	if (l->window.answered + l->window.late == 0)
		turn_off(l);			/* it has died */
	else if (took_us >= TRIAL_LEAST_US && does_harm(l))
		fail_trial(l, took_us, now);
	else if (took_us >= TRIAL_US && l->trial_spared == 0)
		pass_trial(l, now);
	else if (took_us >= TRIAL_US)
		prolong_trial(l, now);
}

/* Counts relapses at a rate found good a moment ago. True when there are too many: that is no capacity. */
static bool note_relapse(struct limit *l)
{
	if (l->state != LIMIT_FOUND || l->base == 0)
		return false;
	l->odd = l->rate < l->base + l->base / 4 ? l->odd + 1 : 0;
	return l->odd >= ODD_MAX;
}

static void judge_limited(struct limit *l, uint64_t span_us, uint64_t now)
{
	uint32_t loss = loss_of(l);

	if (loss > 0)
		l->lost_us = now;
	if (l->state == LIMIT_FOUND)
		l->usual_loss = (uint16_t)((7u * l->usual_loss + loss) / 8);
	if (l->window.answered + l->window.late == 0 && l->state == LIMIT_FOUND) {
		turn_off(l);			/* it has died */
	} else if (loss < LOSS_CALM) {
		l->state = LIMIT_FOUND;
		l->cuts = 0;
		if (now - l->needed_us >= UNNEEDED_US)
			turn_off(l);
		else if (now >= l->trial_us)
			begin_trial(l, now);
		else if (l->window.spared > 0)
			grow(l, span_us, now);
	} else if (l->state == LIMIT_SEEKING && is_useless(l, now)) {
		give_up(l, now);
	} else if (loss >= LOSS_CUT && note_relapse(l)) {
		give_up(l, now);
	} else if (loss >= LOSS_CUT) {
		if (l->state == LIMIT_FOUND) {
			l->first_loss = (uint16_t)loss;
			l->begun_us = now;
			l->state = LIMIT_SEEKING;
		}
		l->cuts++;
		cut(l, span_us, now);
	}
}

static void judge_free(struct limit *l, uint64_t span_us, uint64_t now)
{
	l->is_rationed |= of_thousand(l->window.lost, l) >= LOSS_BEGIN
			  && of_thousand(l->window.truncated, l) >= (uint32_t)l->usual_truncated + RATIONED_SURE;
	if (now < l->blind_us || l->window.answered + l->window.late < ALIVE_MIN || !is_overload(l)) {
		l->doubts = 0;
		return;
	}
	if (loss_of(l) < LOSS_SURE && l->doubts++ == 0)
		return;
	begin(l, span_us, now);
}

/* Too little to tell anything by. */
static void judge_unasked(struct limit *l, uint64_t now)
{
	if (now - l->needed_us >= UNNEEDED_US)
		turn_off(l);
}

/* At the end of a window: is it well at this rate? */
static void look(struct limit *l, uint64_t now)
{
	uint32_t verdicts = l->window.answered + l->window.lost, rate = l->rate;
	uint64_t span_us = now - get(&l->window_us);
	uint8_t state = l->state;
	bool was_trying = l->is_trying;
	uint32_t enough = state == LIMIT_OFF ? ENOUGH : ENOUGH_LIMITED;

	if (span_us < WINDOW_US || (verdicts < enough && span_us < WINDOW_MAX_US))
		return;
	if (span_us > WINDOW_OLD_US)	/* nobody asked meanwhile: what filled it is long ago */
		verdicts = 0;
	else
		note_truncated(l);
	if (state != LIMIT_OFF && verdicts < ENOUGH_SLOW)
		judge_unasked(l, now);
	else if (was_trying)
		judge_trial(l, now);
	else if (state != LIMIT_OFF)
		judge_limited(l, span_us, now);
	else if (verdicts >= ENOUGH)
		judge_free(l, span_us, now);
	if (was_trying && state == l->state && !l->is_trying)
		begin_window(l, get(&l->next_us) + SETTLE_US);
	else
		begin_window(l, l->rate < rate || state != l->state ? now + SETTLE_US : now);
}

/* ---- What workers hand in ---- */

static void say(struct limit *l)
{
	atomic_store_explicit(&l->pace, l->rate * (l->is_trying ? TRIAL_TIMES : 1), memory_order_relaxed);
	atomic_store_explicit(&l->said_rate, l->rate, memory_order_relaxed);
	atomic_store_explicit(&l->said_state, l->state, memory_order_relaxed);
	atomic_store_explicit(&l->said_rationed, l->is_rationed, memory_order_relaxed);
	if (l->rate == 0 && get(&l->tried_us) > l->latest_us)
		set(&l->tried_us, l->latest_us);	/* it ended well, or with the server */
}

static bool try_enter(struct limit *l)
{
	return !atomic_exchange_explicit(&l->is_taken, true, memory_order_acquire);
}

static void leave(struct limit *l)
{
	atomic_store_explicit(&l->is_taken, false, memory_order_release);
}

/* A worker that had nothing to do may have kept its last verdicts for hours. */
static bool is_of_now(const struct limit *l, const struct limit_count *own)
{
	return own->since_us >= l->void_us && l->latest_us - own->since_us <= WINDOW_MAX_US;
}

static void add(struct limit *l, const struct limit_count *own)
{
	struct limit_count *w = &l->window;

	w->spared += own->spared;
	w->late += own->late;
	if (own->spared > 0)
		l->needed_us = l->latest_us;
	if (!is_of_now(l, own))
		return;
	w->answered += own->answered;
	w->truncated += own->truncated;
	w->lost += own->lost;
}

static bool is_other_trying(const struct limit *l)
{
	return l->other && !l->is_trying && l->latest_us < get(&l->other->tried_us);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Workers read the clock each for itself: what was `now` to one may be ahead of another's. */
static void hand_in(struct limit *l, struct limit_count *own, uint64_t now)
{
	if (now - own->handed_us < HAND_IN_US || !try_enter(l))
		return;
	if (now > l->latest_us)
		l->latest_us = now;
	add(l, own);
	*own = (struct limit_count){ .handed_us = now };
	if (is_other_trying(l))
		begin_window(l, later(get(&l->window_us), l->latest_us + SETTLE_US));
	else if (l->latest_us >= get(&l->window_us))
		look(l, l->latest_us);
	say(l);
	leave(l);
}

void limit_on_spared(struct limit *l, struct limit_count *own, uint64_t now)
{
	own->spared++;
	hand_in(l, own, now);
}

static bool is_void(const struct limit *l, struct limit_count *own, uint64_t now)
{
	if (now < get(&l->window_us))
		return true;
	if (own->answered + own->lost == 0)
		own->since_us = now;
	return false;
}

void limit_on_answer(struct limit *l, struct limit_count *own, bool is_truncated, uint64_t now)
{
	if (is_void(l, own, now))
		return;
	own->answered++;
	own->truncated += is_truncated;
	hand_in(l, own, now);
}

void limit_on_loss(struct limit *l, struct limit_count *own, uint64_t now)
{
	if (is_void(l, own, now))
		return;
	own->lost++;
	hand_in(l, own, now);
}

void limit_on_late(struct limit_count *own)
{
	own->late++;
}

void limit_reset(struct limit *l, struct limit *other)
{
	while (!try_enter(l))
		sched_yield();		/* whoever is at it has no more than numbers to compare */
	memset((char *)l + offsetof(struct limit, rate), 0, sizeof(*l) - offsetof(struct limit, rate));
	l->other = other;
	set(&l->next_us, 0);
	set(&l->tried_us, 0);
	begin_window(l, 0);
	say(l);
	leave(l);
}

struct limit_said limit_said(const struct limit *l)
{
	return (struct limit_said){
		.rate = atomic_load_explicit(&l->said_rate, memory_order_relaxed),
		.state = atomic_load_explicit(&l->said_state, memory_order_relaxed),
		.is_rationed = atomic_load_explicit(&l->said_rationed, memory_order_relaxed),
		.tried_us = get(&l->tried_us),
	};
}
