/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* list.h - intrusive doubly linked list; the head is a node of its own, an empty list points at itself */
#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define LIST_INIT(head)                                                                                                \
	{                                                                                                              \
		.prev = &(head), .next = &(head)                                                                       \
	}
#define list_of(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
#define list_each(node, head)	    for (struct list *node = (head)->next; node != (head); node = node->next)
#define list_each_safe(node, head)                                                                                     \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head);                              \
	     node = node##_next, node##_next = node->next)

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_append(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}
