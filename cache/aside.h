/* SPDX-License-Identifier: ISC */
/*
 * aside - work that takes long, in a thread of its own beside a loop.
 *
 * Purpose:  what goes through a whole big zone (writing it to disk, looking for gaps in its
 *           chains), or waits for the disk, does not hold up the loop that has updates to take.
 * Not here: what the work is (mirror_aside.c).
 * Owns:     one thread, begun with the first job; jobs are the caller's until `done`.
 * Threads:  all calls are the loop's; `run` is called in the thread, one job after the other,
 *           `done` in the loop's.
 * Memory:   none for each job.
 * Failure:  aborts when there is no thread to be had.
 */
#ifndef ASIDE_H
#define ASIDE_H

#include <sys/queue.h>

#include <ev.h>

struct aside;

enum aside_place {
	ASIDE_WAITING,
	ASIDE_RUNNING,
	ASIDE_READY,	/* it ran; `done` is to come */
};

struct aside_job {
	void (*run)(struct aside_job *job);	/* touches nothing that the loop writes */
	void (*done)(struct aside_job *job);	/* may free it, or begin another */
	enum aside_place place;			/* ours, and so is: */
	TAILQ_ENTRY(aside_job) queued;
};

/* `begin`: what the thread does first; NULL: nothing. */
struct aside *aside_new(struct ev_loop *loop, void (*begin)(void));
void aside_free(struct aside *a);	/* waits for all jobs; NULL is fine */

void aside_begin(struct aside *a, struct aside_job *job);

/* Until all jobs so far, and those that their `done` began, are done. */
void aside_wait(struct aside *a);

/* Until this one is done: it goes before all that wait, and no other is done meanwhile. */
void aside_wait_for(struct aside *a, struct aside_job *job);

#endif
