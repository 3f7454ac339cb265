/* SPDX-License-Identifier: ISC */
#include "proxy/conf_lex.h"

#include <string.h>

static bool at_text(const struct conf_lex *l, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(l->end - l->at) >= len && memcmp(l->at, text, len) == 0;
}

static void skip_line(struct conf_lex *l)
{
	const char *newline = memchr(l->at, '\n', (size_t)(l->end - l->at));

	l->at = newline ? newline : l->end;
}

/* False when the comment does not end. */
static bool skip_block(struct conf_lex *l)
{
	for (l->at += 2; l->at < l->end; l->at++) {
		if (at_text(l, "*/")) {
			l->at += 2;
			return true;
		}
		l->line += *l->at == '\n';
	}
	return false;
}

/* White space and comments. False at a comment that does not end. */
static bool skip_blank(struct conf_lex *l)
{
	while (l->at < l->end) {
		if (*l->at == ' ' || *l->at == '\t' || *l->at == '\r' || *l->at == '\n')
			l->line += *l->at++ == '\n';
		else if (*l->at == '#' || at_text(l, "//"))
			skip_line(l);
		else if (!at_text(l, "/*"))
			return true;
		else if (!skip_block(l))
			return false;
	}
	return true;
}

static struct conf_token bad(const struct conf_lex *l, const char *problem)
{
	return (struct conf_token){
		.kind = TOKEN_BAD, .at = l->at, .line = l->line, .problem = problem,
	};
}

static struct conf_token ends_at(struct conf_lex *l, enum conf_token_kind kind, const char *end)
{
	struct conf_token t = {
		.kind = kind, .at = l->at, .len = (size_t)(end - l->at), .line = l->line,
	};

	l->at = end;
	return t;
}

/* The end of "${NAME}", which libconfuse replaces by the environment's; NULL: not closed. */
static const char *variable_end(const char *at, const char *end)
{
	while (at < end && *at != '}' && *at != '"' && *at != '\n')
		at++;
	return at < end && *at == '}' ? at + 1 : NULL;
}

/*
 * A string ends on its line: libconfuse would let a forgotten quote swallow all up to the
 * next one. Octal and hexadecimal escapes are no use here, and the wrong ones abort its lexer
 * in the middle of a string, which then spoils the next file.
 */
static struct conf_token lex_string(struct conf_lex *l)
{
	char quote = *l->at;
	const char *p = l->at + 1;

	while (p < l->end && *p != quote && *p != '\n') {
		if (*p == '\\') {
			p++;
			if (p == l->end || *p == '\n')
				break;
			if (quote == '"' && (*p == 'x' || (*p >= '0' && *p <= '9')))
				return bad(
					l,
					"number behind \\ in a string: write \\\\ for a backslash");
			p++;
		} else if (quote == '"' && *p == '$' && p + 1 < l->end && p[1] == '{') {
			p = variable_end(p, l->end);
			if (!p)
				return bad(l, "${ without }: write ${NAME} for a variable of the "
					      "environment");
		} else {
			p++;
		}
	}
	if (p >= l->end || *p != quote)
		return bad(l, "the string does not end on its line: close its quotes");
	return ends_at(l, TOKEN_STRING, p + 1);
}

static struct conf_token lex_word(struct conf_lex *l)
{
	const char *p = l->at;

	while (p < l->end && (unsigned char)*p > ' ' && *p != 0x7f &&
	       !strchr("#\"'={}()+,*\\", *p)) {
		if (*p == '/' && p + 1 < l->end && (p[1] == '/' || p[1] == '*'))
			break;
		p++;
	}
	if (p == l->at)
		return bad(l, "a character that is no part of any option: "
			      "put quotes around values like this");
	return ends_at(l, TOKEN_WORD, p);
}

struct conf_token conf_lex_next(struct conf_lex *l)
{
	if (!skip_blank(l))
		return bad(l, "the comment does not end: close it with */");
	if (l->at == l->end)
		return ends_at(l, TOKEN_END, l->at);
	if (*l->at == '"' || *l->at == '\'')
		return lex_string(l);

	char mark = *l->at;
	size_t len = at_text(l, "+=") ? 2 : 1;

	if (len == 1 && (mark == '\0' || !strchr("{}()=,", mark)))
		return lex_word(l);
	struct conf_token t = ends_at(l, TOKEN_MARK, l->at + len);

	t.mark = mark;
	return t;
}
