/* SPDX-License-Identifier: Apache-2.0 */
/* volume.c - volumes that are names */
#include "engine/volume.h"

#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "fake/fake.h"

void volume_info_free(struct volume_info *v)
{
	if (!v)
		return;
	free(v->name);
	strv_free(v->users);
	free(v);
}

void volume_list_free(struct volume_info **list)
{
	for (size_t i = 0; list && list[i]; i++)
		volume_info_free(list[i]);
	free(list);
}

static char **users_of(struct engine *e, const char *name)
{
	AUTO(instance_list_free) struct instance_info **list = NULL;
	char **users = NULL;

	(void)instance_list(e, /* live= */ false, &list, NULL);
	for (size_t i = 0; list[i]; i++) {
		const struct device *d = devices_find_volume(&list[i]->devices, name);

		if (d)
			strv_addf(&users, "%s:%s", list[i]->name, d->path);
	}
	return users;
}

static struct volume_info *info_of(struct engine *e, const char *name, bool live)
{
	struct volume_info *v = xcalloc(1, sizeof(*v));

	v->name = xstrdup(name);
	v->bytes = live ? 8192 : 0;
	v->users = users_of(e, name);
	return v;
}

static char **names_of(struct engine *e)
{
	struct fake *f = fake_of(e);
	SCOPED_LOCK(&f->mutex);

	return strv_copy(f->volumes);
}

int volume_create(struct engine *e, const char *name, struct err *err)
{
	struct fake *f = fake_of(e);
	int r = instance_check_name(name, err);

	if (r < 0)
		return r;
	SCOPED_LOCK(&f->mutex);
	if (strv_has(f->volumes, name))
		return err_set(err, -EEXIST, "a volume '%s' exists already", name);
	strv_add(&f->volumes, name);
	return 0;
}

int volume_delete(struct engine *e, const char *name, struct err *err)
{
	AUTO(strv_free) char **users = users_of(e, name);
	struct fake *f = fake_of(e);
	char **left = NULL;
	SCOPED_LOCK(&f->mutex);

	if (!strv_has(f->volumes, name))
		return err_set(err, -ENOENT, "there is no volume '%s'", name);
	if (users)
		return err_set(err, -EBUSY, "volume '%s' is attached: %s", name, users[0]);
	for (size_t i = 0; f->volumes[i]; i++)
		if (strcmp(f->volumes[i], name) != 0)
			strv_add(&left, f->volumes[i]);
	strv_free(f->volumes);
	f->volumes = left;
	return 0;
}

int volume_find(struct engine *e, const char *name, bool live, struct volume_info **ret, struct err *err)
{
	AUTO(strv_free) char **names = names_of(e);

	if (!strv_has(names, name))
		return err_set(err, -ENOENT, "there is no volume '%s'", name);
	*ret = info_of(e, name, live);
	return 0;
}

int volume_list(struct engine *e, bool live, struct volume_info ***ret, struct err *err)
{
	AUTO(strv_free) char **names = names_of(e);
	size_t n = strv_len(names);
	struct volume_info **list = xcalloc(n + 1, sizeof(struct volume_info *));

	for (size_t i = 0; i < n; i++)
		list[i] = info_of(e, names[i], live);
	*ret = list;
	return 0;
}
