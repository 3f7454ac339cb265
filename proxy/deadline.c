/* SPDX-License-Identifier: ISC */
#include "proxy/deadline.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "cache/clock.h"
#include "proxy/list.h"

static void on_io(struct ev_loop *crowd, ev_io *io, int revents)
{
	struct deadline *d = list_entry(io, struct deadline, io);

	(void)crowd;
	(void)revents;
	if (d->rung_in != ev_iteration(d->loop))	/* the crowd may look twice */
		ev_feed_event(d->loop, &d->ring, EV_TIMER);
	d->rung_in = ev_iteration(d->loop);
}

void deadline_init(struct deadline *d, struct ev_loop *loop, struct ev_loop *crowd,
		   void (*on_ring)(struct ev_loop *loop, ev_timer *ring, int revents))
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0)
		abort();
	d->loop = loop;
	d->rung_in = ev_iteration(loop);
	d->rung_us = 0;
	d->at_us = UINT64_MAX;
	ev_timer_init(&d->ring, on_ring, 0., 0.);
	ev_set_priority(&d->ring, EV_MINPRI);
	ev_io_init(&d->io, on_io, fd, EV_READ);
	ev_io_start(crowd, &d->io);
}

void deadline_fini(struct deadline *d)
{
	if (ev_is_active(&d->io))
		close(d->io.fd);
}

void deadline_set(struct deadline *d, uint64_t at_us)
{
	struct itimerspec when = { .it_value.tv_sec = (time_t)(at_us / US_PER_S),
				   .it_value.tv_nsec = (long)(at_us % US_PER_S) * 1000 };

	if (at_us >= d->at_us)
		return;
	timerfd_settime(d->io.fd, TFD_TIMER_ABSTIME, &when, NULL);
	d->at_us = at_us;
}

uint64_t deadline_read_until(struct deadline *d, uint64_t now_us)
{
	uint64_t until_us = d->rung_us;

	d->rung_us = now_us;
	return until_us;
}

void deadline_stop(struct deadline *d)
{
	uint64_t times;
	ssize_t n = read(d->io.fd, &times, sizeof(times));

	(void)n;	/* nothing to read: it was set anew meanwhile, and will ring */
	d->rung_us = 0;
	d->at_us = UINT64_MAX;
}
