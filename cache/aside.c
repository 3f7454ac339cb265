/* SPDX-License-Identifier: ISC */
#include "cache/aside.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cache/memory.h"

TAILQ_HEAD(queue, aside_job);

struct aside {
	struct ev_loop *loop;
	void (*begin)(void);
	ev_async wake;
	pthread_t thread;
	bool has_thread;
	size_t under_way;		/* begun, and not yet done; the loop's alone */

	pthread_mutex_t mutex;		/* guards the rest */
	pthread_cond_t news;		/* a job to run, one that ran, or the end */
	struct queue waiting, ready;	/* to be run; to be done */
	bool is_over;
};

static struct aside_job *queue_take(struct queue *q)
{
	struct aside_job *job = TAILQ_FIRST(q);

	if (job)
		TAILQ_REMOVE(q, job, queued);
	return job;
}

static void *run(void *arg)
{
	struct aside *a = arg;
	struct aside_job *job;

	if (a->begin)
		a->begin();
	pthread_mutex_lock(&a->mutex);
	for (;;) {
		job = queue_take(&a->waiting);
		if (!job && a->is_over)
			break;
		if (!job) {
			pthread_cond_wait(&a->news, &a->mutex);
			continue;
		}
		job->place = ASIDE_RUNNING;
		pthread_mutex_unlock(&a->mutex);
		job->run(job);
		pthread_mutex_lock(&a->mutex);
		job->place = ASIDE_READY;
		TAILQ_INSERT_TAIL(&a->ready, job, queued);
		pthread_cond_broadcast(&a->news);
		ev_async_send(a->loop, &a->wake);
	}
	pthread_mutex_unlock(&a->mutex);
	return NULL;
}

static void finish_ready(struct aside *a)
{
	struct aside_job *job;

	for (;;) {
		pthread_mutex_lock(&a->mutex);
		job = queue_take(&a->ready);
		pthread_mutex_unlock(&a->mutex);
		if (!job)
			return;
		a->under_way--;
		job->done(job);
	}
}

static void on_wake(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop;
	(void)revents;
	finish_ready(w->data);
}

struct aside *aside_new(struct ev_loop *loop, void (*begin)(void))
{
	struct aside *a = memory_zeroed(1, sizeof(*a));

	a->loop = loop;
	a->begin = begin;
	TAILQ_INIT(&a->waiting);
	TAILQ_INIT(&a->ready);
	pthread_mutex_init(&a->mutex, NULL);
	pthread_cond_init(&a->news, NULL);
	ev_async_init(&a->wake, on_wake);
	a->wake.data = a;
	ev_async_start(loop, &a->wake);
	return a;
}

void aside_begin(struct aside *a, struct aside_job *job)
{
	a->under_way++;
	pthread_mutex_lock(&a->mutex);
	job->place = ASIDE_WAITING;
	TAILQ_INSERT_TAIL(&a->waiting, job, queued);
	pthread_cond_broadcast(&a->news);
	pthread_mutex_unlock(&a->mutex);
	if (a->has_thread)
		return;
	a->has_thread = true;
	if (pthread_create(&a->thread, NULL, run, a) != 0)
		abort();
}

void aside_wait_for(struct aside *a, struct aside_job *job)
{
	pthread_mutex_lock(&a->mutex);
	if (job->place == ASIDE_WAITING) {
		TAILQ_REMOVE(&a->waiting, job, queued);
		TAILQ_INSERT_HEAD(&a->waiting, job, queued);
	}
	while (job->place != ASIDE_READY)
		pthread_cond_wait(&a->news, &a->mutex);
	TAILQ_REMOVE(&a->ready, job, queued);
	pthread_mutex_unlock(&a->mutex);
	a->under_way--;
	job->done(job);
}

void aside_wait(struct aside *a)
{
	while (a->under_way > 0) {
		pthread_mutex_lock(&a->mutex);
		while (TAILQ_EMPTY(&a->ready))
			pthread_cond_wait(&a->news, &a->mutex);
		pthread_mutex_unlock(&a->mutex);
		finish_ready(a);
	}
}

void aside_free(struct aside *a)
{
	if (!a)
		return;
	aside_wait(a);
	pthread_mutex_lock(&a->mutex);
	a->is_over = true;
	pthread_cond_broadcast(&a->news);
	pthread_mutex_unlock(&a->mutex);
	if (a->has_thread)
		pthread_join(a->thread, NULL);
	ev_async_stop(a->loop, &a->wake);
	pthread_cond_destroy(&a->news);
	pthread_mutex_destroy(&a->mutex);
	free(a);
}
