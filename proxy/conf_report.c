/* SPDX-License-Identifier: ISC */
#include "proxy/conf_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Errors of one file stand together, by line; of one line, in the order found. */
static size_t position_of(const struct conf_report *r, struct conf_where where)
{
	size_t i = r->kept;

	while (i > 0 && r->errors[i - 1].where.file != where.file)
		i--;
	if (i == 0)
		return r->kept;		/* the first error of its file */
	while (i > 0 && r->errors[i - 1].where.file == where.file &&
	       r->errors[i - 1].where.line > where.line)
		i--;
	return i;
}

void conf_report_add(struct conf_report *r, struct conf_where where, const char *format, ...)
{
	char text[REPORT_TEXT_MAX];
	va_list args;

	r->count++;
	if (r->kept == REPORT_ERRORS_MAX)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	size_t at = position_of(r, where);

	memmove(&r->errors[at + 1], &r->errors[at], (r->kept - at) * sizeof(r->errors[0]));
	r->errors[at] = (struct conf_error){ .where = where, .text = strdup(text) };
	if (!r->errors[at].text)
		abort();
	r->kept++;
}

void conf_report_print(struct conf_report *r, FILE *out)
{
	for (size_t i = 0; i < r->kept; i++) {
		const struct conf_error *e = &r->errors[i];

		if (e->where.line > 0)
			fprintf(out, "%s:%d: %s\n", e->where.file, e->where.line, e->text);
		else
			fprintf(out, "%s: %s\n", e->where.file, e->text);
		free(e->text);
	}
	if (r->count > r->kept)
		fprintf(out, "%zu more errors: mend these first\n", r->count - r->kept);
	r->kept = r->count = 0;
}
