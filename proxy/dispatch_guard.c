/* SPDX-License-Identifier: ISC */
#include "proxy/dispatch_parts.h"

/* True when this very number is on its way to the backend that it names. */
static bool is_ours(const struct guard_mark *mark)
{
	return mark->backend < BACKENDS_MAX
	       && atomic_load_explicit(&backend_get(mark->backend)->guard_number,
				       memory_order_acquire) == mark->number;
}

/* It must not go round again; and control hears of it once. */
static void take_ours(struct dispatch *d, struct asked *asked, const struct guard_mark *mark)
{
	_Atomic uint64_t *returned = &backend_get(mark->backend)->guard_returned;

	guard_remember(&d->guard, mark->number);
	if (atomic_exchange_explicit(returned, mark->number, memory_order_release) != mark->number)
		d->ops->alarm(d->shell);
	dispatch_refuse(d, asked, EDE_PROHIBITED);
}

bool dispatch_guard(struct dispatch *d, struct asked *asked)
{
	struct guard_mark mark;

	if (!guard_read(asked->message.qname, &mark))
		return false;
	if (is_ours(&mark)) {
		take_ours(d, asked, &mark);
		return true;
	}
	switch (guard_pass(&d->guard, mark.number, d->now_us)) {
	case GUARD_PASS:
		asked->is_guard = true;
		return false;
	case GUARD_SEEN:
		dispatch_refuse(d, asked, EDE_PROHIBITED);
		break;
	case GUARD_TOO_MANY:	/* SERVFAIL: whoever asks learns nothing from it (guard.h) */
		counter_add(&d->stats->answers_servfail, 1);
		dispatch_answer_error(d, asked, RCODE_SERVFAIL, EDE_OTHER);
		break;
	}
	return true;
}

void dispatch_guard_passed(struct dispatch *d, const struct asked *asked, struct backend *b)
{
	uint32_t hint = asked->zone ? (uint32_t)asked->zone->number + 1 : UINT32_MAX;

	if (atomic_exchange_explicit(&b->guard_hint, hint, memory_order_relaxed) == 0)
		d->ops->alarm(d->shell);
}
