/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/devices.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void device_done(struct device *d)
{
	free(d->name);
	free(d->volume);
	free(d->path);
}

void devices_done(struct devices *d)
{
	for (size_t i = 0; i < d->n; i++)
		device_done(&d->v[i]);
	free(d->v);
	*d = (struct devices){ 0 };
}

void devices_add(struct devices *d, const char *name, const char *volume, const char *path, bool is_readonly)
{
	size_t at = d->n;

	d->v = xreallocarray(d->v, d->n + 1, sizeof(*d->v));
	for (; at > 0 && strcmp(d->v[at - 1].path, path) > 0; at--)
		d->v[at] = d->v[at - 1];
	d->v[at] = (struct device){
		.name = xstrdup(name), .volume = xstrdup(volume), .path = xstrdup(path), .is_readonly = is_readonly
	};
	d->n++;
}

void devices_remove(struct devices *d, const char *name)
{
	const struct device *found = devices_find(d, name);
	size_t i = found ? (size_t)(found - d->v) : 0;

	if (!found)
		return;
	device_done(&d->v[i]);
	d->n--;
	memmove(d->v + i, d->v + i + 1, (d->n - i) * sizeof(*d->v));
}

struct devices devices_copy(const struct devices *d)
{
	struct devices copy = { 0 };

	for (size_t i = 0; i < d->n; i++)
		devices_add(&copy, d->v[i].name, d->v[i].volume, d->v[i].path, d->v[i].is_readonly);
	return copy;
}

const struct device *devices_find(const struct devices *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (str_eq(d->v[i].name, name))
			return &d->v[i];
	return NULL;
}

const struct device *devices_find_volume(const struct devices *d, const char *volume)
{
	for (size_t i = 0; i < d->n; i++)
		if (str_eq(d->v[i].volume, volume))
			return &d->v[i];
	return NULL;
}

bool devices_equal(const struct devices *a, const struct devices *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!str_eq(a->v[i].name, b->v[i].name) || !str_eq(a->v[i].volume, b->v[i].volume) ||
		    !str_eq(a->v[i].path, b->v[i].path) || a->v[i].is_readonly != b->v[i].is_readonly)
			return false;
	return true;
}
