/* SPDX-License-Identifier: ISC */
/*
 * list - an intrusive, circular, doubly linked list.
 *
 * Purpose:  things that are on exactly one list at a time and leave it in O(1).
 * Memory:   none: a link is a member of what is listed; list_entry() goes back to it.
 */
#ifndef LIST_H
#define LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link { struct link *prev, *next; };

#define list_entry(link, type, member) \
	((type *)(void *)((char *)(link) - offsetof(type, member)))

/* An empty head, or a link that is on no list. */
static inline void list_init(struct link *l)
{
	l->prev = l->next = l;
}

static inline bool list_is_empty(const struct link *head)
{
	return head->next == head;
}

static inline void list_append(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void list_prepend(struct link *head, struct link *l)
{
	list_append(head->next, l);
}

static inline void list_remove(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* The first link, or NULL when the list is empty. */
static inline struct link *list_first(const struct link *head)
{
	return head->next == head ? NULL : head->next;
}

#endif
