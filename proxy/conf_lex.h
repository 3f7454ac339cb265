/* SPDX-License-Identifier: ISC */
/*
 * conf_lex - a configuration text as tokens, with their lines.
 *
 * Purpose:  the same tokens that libconfuse sees, except that it silently skips characters
 *           which it does not expect; here they are errors, since `secret = ab+cd` must not
 *           become `secret = ab` and an option `cd`.
 * Not here: what tokens mean (conf_scan.c).
 * Threads:  any; a cursor belongs to its caller.
 * Memory:   none; tokens borrow from the text.
 */
#ifndef CONF_LEX_H
#define CONF_LEX_H

#include <stdbool.h>
#include <stddef.h>

enum conf_token_kind {
	TOKEN_END,
	TOKEN_WORD,	/* unquoted */
	TOKEN_STRING,	/* `at` and `len` include the quotes */
	TOKEN_MARK,	/* { } ( ) = , or += which is '+' */
	TOKEN_BAD,	/* `problem` says why, with the mend */
};

struct conf_token {
	enum conf_token_kind kind;
	char mark;
	const char *at;
	size_t len;
	int line;
	const char *problem;
};

struct conf_lex {
	const char *at, *end;
	int line;
};

struct conf_token conf_lex_next(struct conf_lex *l);

static inline bool conf_token_is(const struct conf_token *t, char mark)
{
	return t->kind == TOKEN_MARK && t->mark == mark;
}

static inline bool conf_token_is_value(const struct conf_token *t)
{
	return t->kind == TOKEN_WORD || t->kind == TOKEN_STRING;
}

#endif
