/* SPDX-License-Identifier: ISC */
/*
 * priority - who runs first when threads want the same CPU: whoever answers queries.
 *
 * Purpose:  a transfer may take a second longer, an answer not a millisecond. On a machine that
 *           has a CPU for each it changes nothing.
 * Threads:  each call is about the thread that makes it, and those that it begins afterwards.
 * Failure:  none: where the kernel will not have it, all stay alike.
 */
#ifndef PRIORITY_H
#define PRIORITY_H

/*
 * It runs in short pieces and sleeps between them: with a slice as short as that (Linux 6.12) it
 * need not wait until another's, of some milliseconds, is over.
 */
void priority_of_queries(void);

/* It may take long, and waits while others have something to do. Twice is fine. */
void priority_of_transfers(void);

#endif
