/* SPDX-License-Identifier: ISC */
/*
 * mirror_parts - what the files of the mirror share, and nobody else includes.
 *
 * mirror.c         what other threads call: configuring, asking for work, looking
 * mirror_thread.c  the thread: its loop, the commands as they arrive
 * mirror_store.c   what the store says to it
 *
 * Two lists lead into the thread, both announced by `wake`: commands from control, in order,
 * under `mutex`; and zones that someone wants refreshed, each in it once at most. Workers add
 * to the second, which is why it has no lock: they push, the thread takes all.
 */
#ifndef MIRROR_PARTS_H
#define MIRROR_PARTS_H

#include <pthread.h>
#include <sys/queue.h>

#include <ev.h>

#include "cache/mirror.h"
#include "cache/mirror_work.h"
#include "cache/mirror_work_list.h"

enum command_kind {
	COMMAND_CONFIGURE, COMMAND_FORGET, COMMAND_GIVE_WAY, COMMAND_STOP,
	COMMAND_HOLD, COMMAND_ROLL_BACK, COMMAND_ACCEPT,	/* orders: of one zone */
};

struct command {
	enum command_kind kind;
	struct command *next;
	size_t count;			/* of what is configured now: */
	struct mirror_work **works;
	struct mirror_work **sorted;	/* the same by origin: the thread's list from then on */
	const struct mirror_zone_conf **confs;	/* NULL where the work is new and has it */
	uint64_t number;		/* of an order */
	struct mirror_which which;
};

struct mirror {
	struct mirror_conf conf;
	pthread_t thread;
	bool is_running, is_stopping;	/* control's */

	/* the thread's */
	struct workshop shop;
	struct work_list works;		/* configured; by origin */
	struct work_list left;		/* not any more; until mirror_forget_left() */
	size_t restored;		/* works[0 .. restored-1] have read their snapshots */
	ev_async wake;
	ev_prepare tidy;
	ev_idle restore;		/* runs while snapshots are left to read */
	ev_timer round;			/* looks at some zones each second, whatever their timers say */
	size_t rounded;			/* works[rounded] is the next */
	uint64_t older_said_us;		/* when the log last heard of store_older; 0: never */
	unsigned older_suppressed;

	/* anybody's */
	_Atomic(struct mirror_work *) wanted;

	/* control's */
	struct work_list configured;	/* as `works` will be; by origin */
	uint64_t ordered;		/* number of the last order */

	pthread_mutex_t mutex;		/* guards the rest, and what mirror_work.h says */
	pthread_cond_t loaded;		/* uncounted == 0 */
	size_t uncounted;		/* zones that are still being restored */
	pthread_cond_t ended;		/* has_ended */
	bool has_ended;			/* the thread */
	TAILQ_HEAD(changed_works, mirror_work) changed;	/* for mirror_take_changed() */
	struct command *first, **last;
	pthread_cond_t obeyed;		/* of: */
	uint64_t obeyed_number;		/* of the order last carried out */
	enum mirror_done obeyed_done;
	bool is_store_up, is_store_refusing;
	char store_reason[160];
	char store_unsafe[SETTING_COUNT][MIRROR_UNSAFE_MAX];	/* empty: safe */
};

void mirror_command_free(struct command *c);

/* For store_new(), with the mirror as argument. */
extern const struct store_listener mirror_store_listener;

/* Makes the loop's watchers and the store; nothing runs. */
void mirror_thread_init(struct mirror *m);

/* The thread's function; returns after COMMAND_STOP. */
void *mirror_thread_run(void *mirror);

#endif
