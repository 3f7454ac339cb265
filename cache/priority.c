/* SPDX-License-Identifier: ISC */
#include "cache/priority.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	SLICE_NS = 500000,	/* longer than a batch takes, shorter than others' */
	TRANSFERS_NICE = 10,	/* weighs a ninth of 0 */
};

/* The kernel's struct sched_attr of the beginning: its header and <sched.h> do not go together. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t realtime;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

void priority_of_queries(void)
{
	struct attributes a;

	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) < 0 || a.policy != SCHED_OTHER)
		return;		/* the operator's choice stays */
	a.runtime_ns = SLICE_NS;
	syscall(SYS_sched_setattr, 0, &a, 0);
}

void priority_of_transfers(void)
{
	int first = getpriority(PRIO_PROCESS, (id_t)getpid());	/* of the first thread, on Linux */

	setpriority(PRIO_PROCESS, 0, first + TRANSFERS_NICE);
}
