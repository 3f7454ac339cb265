/* SPDX-License-Identifier: ISC */
/*
 * crowd - an epoll for many sockets inside a loop that polls a few.
 *
 * Purpose:  a socket that epoll watches calls it for each packet that comes or leaves, and on a
 *           listener that is a twentieth of what an answer costs. poll(2) listens to its sockets
 *           only while we sleep, but looks at each of them every time. So a worker's loop polls
 *           its UDP listeners and the few sockets by which it asks most (upstream_udp.c), and as one
 *           more the epoll that has all others: connections of clients, the rest of what backends are
 *           asked by, and what comes seldom: the timer of deadlines, control's word.
 * Not here: what those sockets do; their watchers are started in crowd->loop, timers in the outer.
 * Owns:     the inner loop.
 * Threads:  one for each worker, inside its outer loop.
 * Time:     the inner loop never sleeps. What is ready in it has the priority of any socket in the
 *           outer one, so it comes before the worker's deadlines.
 * Memory:   in crowd_init(); aborts when there is none.
 */
#ifndef CROWD_H
#define CROWD_H

#include <ev.h>

struct crowd {
	struct ev_loop *loop;		/* for ev_io watchers */
	ev_embed in_outer;
	ev_prepare before_sleep;
};

/*
 * The watchers of both loops see the same ev_userdata(). Sockets may be served before the outer
 * loop sleeps, by a prepare watcher of libev's: whoever wants the last word after that has one of
 * the lowest priority, started before this, since the last one started comes first.
 */
void crowd_init(struct crowd *c, struct ev_loop *outer);

/* After the outer loop is gone. */
void crowd_fini(struct crowd *c);

#endif
