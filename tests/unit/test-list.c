/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include "test.h"

struct item {
	int n;
	struct list node;
};

static int as_number(struct list *head)
{
	int v = 0;

	list_each (node, head)
		v = v * 10 + list_of(node, struct item, node)->n;
	return v;
}

TEST(append_remove)
{
	struct list head = LIST_INIT(head);
	struct item a = { .n = 1 }, b = { .n = 2 }, c = { .n = 3 };

	CHECK(list_is_empty(&head));
	list_append(&head, &a.node);
	list_append(&head, &b.node);
	list_append(&head, &c.node);
	CHECK_INT(as_number(&head), 123);
	list_remove(&b.node);
	CHECK_INT(as_number(&head), 13);
	list_remove(&b.node); /* twice is harmless */
	list_remove(&a.node);
	list_remove(&c.node);
	CHECK(list_is_empty(&head));
}

TEST(remove_while_walking)
{
	struct list head;
	struct item items[5];

	list_init(&head);
	for (int i = 0; i < 5; i++) {
		items[i].n = i + 1;
		list_append(&head, &items[i].node);
	}
	list_each_safe (node, &head) {
		if (list_of(node, struct item, node)->n % 2)
			list_remove(node);
	}
	CHECK_INT(as_number(&head), 24);
}
