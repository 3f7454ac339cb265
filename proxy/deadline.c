/* SPDX-License-Identifier: ISC */
#include "proxy/deadline.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "cache/clock.h"

void deadline_init(struct deadline *d, struct ev_loop *loop,
		   void (*on_ring)(struct ev_loop *loop, ev_io *io, int revents))
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0)
		abort();
	d->at_us = UINT64_MAX;
	ev_io_init(&d->io, on_ring, fd, EV_READ);
	ev_set_priority(&d->io, EV_MINPRI);
	ev_io_start(loop, &d->io);
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

void deadline_stop(struct deadline *d)
{
	uint64_t times;
	ssize_t n = read(d->io.fd, &times, sizeof(times));

	(void)n;	/* nothing to read: it was set anew meanwhile, and will ring */
	d->at_us = UINT64_MAX;
}
