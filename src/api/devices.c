/* SPDX-License-Identifier: Apache-2.0 */
/* devices.c - an instance's devices in LXD's words; volumes are all there is so far */
#include "api/devices.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"

#define MAX_NAME    64
#define MAX_DEVICES 256

/* Strings are borrowed from the document. */
struct disk {
	const char *type, *pool, *source, *path, *readonly;
};

static int check_name(const char *name, struct err *err)
{
	if (!*name || strlen(name) > MAX_NAME || strpbrk(name, "/ \t\n"))
		return err_set(err, -EINVAL, "'%.80s' is no name for a device", name);
	return 0;
}

static int check_disk(const struct disk *d, bool *ret_readonly, struct err *err)
{
	if (d->pool && *d->pool && !str_eq(d->pool, DEVICES_POOL))
		return err_set(err, -ENOENT, "there is no storage pool '%s': only '" DEVICES_POOL "'", d->pool);
	if (d->source[0] == '/')
		return err_set(err, -EINVAL, "source must be a volume; folders of the host are not supported");
	return d->readonly && *d->readonly ? str_to_bool(d->readonly, ret_readonly, err) : 0;
}

static int add_disk(const char *name, const struct json *j, struct devices *ret, struct err *err)
{
	static const struct json_field fields[] = {
		{ "path", JSON_F_STR, offsetof(struct disk, path), true },
		{ "pool", JSON_F_STR, offsetof(struct disk, pool), false },
		{ "readonly", JSON_F_STR, offsetof(struct disk, readonly), false },
		{ "source", JSON_F_STR, offsetof(struct disk, source), true },
		{ "type", JSON_F_STR, offsetof(struct disk, type), true },
	};
	struct disk disk = { 0 };
	bool is_readonly = false;
	int r;

	r = check_name(name, err);
	if (r < 0)
		return r;
	if (json_type(j) != JSON_OBJECT)
		return err_set(err, -EINVAL, "device '%s' must be an object", name);
	/* what another kind of device has is not what is wrong with it */
	if (json_get_str(j, "type") && !str_eq(json_get_str(j, "type"), "disk"))
		return err_set(err, -EINVAL, "device '%s': type '%s' is not supported yet: only 'disk'", name,
			       json_get_str(j, "type"));
	r = json_decode(j, fields, ARRAY_SIZE(fields), &disk, err);
	if (r == 0)
		r = check_disk(&disk, &is_readonly, err);
	if (r < 0)
		return err_wrap(err, r, "device '%s'", name);
	if (ret->n == MAX_DEVICES)
		return err_set(err, -EINVAL, "an instance has at most %d devices", MAX_DEVICES);
	devices_add(ret, name, disk.source, disk.path, is_readonly);
	return 0;
}

static int check_map(const struct json *j, struct err *err)
{
	if (j && json_type(j) != JSON_NULL && json_type(j) != JSON_OBJECT)
		return err_set(err, -EINVAL, "devices must be an object");
	return 0;
}

int decode_devices(const struct json *j, struct devices *ret, struct err *err)
{
	AUTO(devices_done) struct devices d = { 0 };
	int r = check_map(j, err);

	if (r < 0)
		return r;
	for (struct json_iter it = json_iter(j); json_next(&it);) {
		r = add_disk(it.key, it.value, &d, err);
		if (r < 0)
			return r;
	}
	*ret = d;
	d = (struct devices){ 0 };
	return 0;
}

int decode_devices_patch(const struct json *j, const struct devices *now, struct devices *ret, struct err *err)
{
	AUTO(devices_done) struct devices d = devices_copy(now);
	int r = check_map(j, err);

	if (r < 0)
		return r;
	for (struct json_iter it = json_iter(j); json_next(&it);) {
		devices_remove(&d, it.key);
		r = json_type(it.value) == JSON_NULL ? 0 : add_disk(it.key, it.value, &d, err);
		if (r < 0)
			return r;
	}
	*ret = d;
	d = (struct devices){ 0 };
	return 0;
}

struct json *encode_devices(const struct devices *d)
{
	struct json *all = json_new_object();

	for (size_t i = 0; i < d->n; i++) {
		struct json *j = json_new_object();

		json_set_str(j, "type", "disk");
		json_set_str(j, "pool", DEVICES_POOL);
		json_set_str(j, "source", d->v[i].volume);
		json_set_str(j, "path", d->v[i].path);
		if (d->v[i].is_readonly)
			json_set_str(j, "readonly", "true");
		json_set(all, d->v[i].name, j);
	}
	return all;
}
