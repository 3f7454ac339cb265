/* SPDX-License-Identifier: ISC */
/*
 * conf_report - the errors of one reading of a configuration, in the order of its lines.
 *
 * Purpose:  later passes find errors in earlier lines; the operator mends from the top.
 * Owns:     the sentences; places are borrowed from the configuration that is being read.
 * Threads:  one; used by conf.c and its parts only.
 * Failure:  after REPORT_ERRORS_MAX errors the rest is counted, not kept.
 */
#ifndef CONF_REPORT_H
#define CONF_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "proxy/conf.h"

enum { REPORT_ERRORS_MAX = 200, REPORT_TEXT_MAX = 512 };

struct conf_error {
	struct conf_where where;
	char *text;
};

struct conf_report {
	struct conf_error errors[REPORT_ERRORS_MAX];	/* [0 .. kept-1] */
	size_t kept, count;
};

/* `format` makes "what is wrong: the mend". A place with line 0 is a whole file. */
void conf_report_add(struct conf_report *r, struct conf_where where, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints "FILE:LINE: what: mend" lines and frees them. */
void conf_report_print(struct conf_report *r, FILE *out);

#endif
