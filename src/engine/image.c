/* SPDX-License-Identifier: Apache-2.0 */
/* image.c - images as the engine sees them: found, listed, named, removed */
#include "engine/image.h"

#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/image-private.h"
#include "engine/state.h"
#include "image/layer.h"
#include "image/oci.h"
#include "image/scratch.h"
#include "store/images.h"

#define MAX_ALIAS 255

void image_info_free(struct image_info *info)
{
	if (!info)
		return;
	strv_free(info->aliases);
	free(info->description);
	free(info->architecture);
	strv_free(info->layers);
	strv_free(info->entrypoint);
	strv_free(info->cmd);
	strv_free(info->env);
	free(info->cwd);
	free(info->user);
	free(info->stop_signal);
	free(info);
}

void image_list_free(struct image_info **list)
{
	for (size_t i = 0; list && list[i]; i++)
		image_info_free(list[i]);
	free(list);
}

static bool is_again_above(const struct image_row *row, size_t i)
{
	for (size_t k = i + 1; k < row->n_layers; k++)
		if (strcmp(row->layers[i].diff_id, row->layers[k].diff_id) == 0)
			return true;
	return false;
}

/*
 * The folders to stack, lowest first. overlayfs takes no folder twice: of a layer that an image has twice the upper one
 * counts, which hides all that the lower one would show. And it does not look for its opaque mark on a layer's root:
 * what is below a layer that has it is left out.
 */
static char **layer_folders(const struct engine *e, const struct image_row *row)
{
	char **folders = NULL;

	for (size_t i = 0; i < row->n_layers; i++) {
		char *folder = layer_folder(e->settings.state_dir, row->layers[i].diff_id);

		if (layer_is_opaque(folder)) {
			strv_free(folders);
			folders = NULL;
		}
		if (is_again_above(row, i))
			free(folder);
		else
			strv_take(&folders, folder);
	}
	return folders;
}

static int info_from_row(const struct engine *e, struct image_row *row, struct image_info **ret, struct err *err)
{
	AUTO(oci_config_free) struct oci_config *config = NULL;
	AUTO(image_info_free) struct image_info *info = xcalloc(1, sizeof(*info));
	int r;

	r = oci_config_parse(row->config, &config, err);
	if (r < 0)
		return err_wrap(err, r, "image %.12s", row->fingerprint);
	memcpy(info->fingerprint, row->fingerprint, sizeof(info->fingerprint));
	digest_of(row->config, strlen(row->config), info->config_digest);
	info->aliases = TAKE_PTR(row->aliases);
	info->description = TAKE_PTR(row->description);
	info->architecture = TAKE_PTR(row->architecture);
	info->created_us = row->created_us;
	info->uploaded_us = row->uploaded_us;
	info->n_users = strv_len(row->users);
	info->layers = layer_folders(e, row);
	for (size_t i = 0; i < row->n_layers; i++)
		info->bytes += row->layers[i].bytes;
	info->entrypoint = TAKE_PTR(config->entrypoint);
	info->cmd = TAKE_PTR(config->cmd);
	info->env = TAKE_PTR(config->env);
	info->cwd = TAKE_PTR(config->cwd);
	info->user = TAKE_PTR(config->user);
	info->stop_signal = TAKE_PTR(config->stop_signal);
	*ret = TAKE_PTR(info);
	return 0;
}

static int ensure_built_in(struct engine *e, struct err *err)
{
	AUTO(image_row_done) struct image_row row = { 0 };

	return images_find(e->db, IMAGE_BUILT_IN, &row, NULL) == -ENOENT ? image_make_built_in(e, err) : 0;
}

int image_find(struct engine *e, const char *name, struct image_info **ret, struct err *err)
{
	AUTO(image_row_done) struct image_row row = { 0 };
	int r;

	r = str_eq(name, IMAGE_BUILT_IN) ? ensure_built_in(e, err) : 0;
	if (r == 0)
		r = images_find(e->db, name, &row, err);
	return r < 0 ? r : info_from_row(e, &row, ret, err);
}

struct listing {
	const struct engine *e;
	struct image_info **list;
	size_t n;
	struct err *err;
};

static int add_to_listing(struct image_row *row, void *ctx)
{
	struct listing *l = ctx;

	l->list = xreallocarray(l->list, l->n + 2, sizeof(*l->list));
	l->list[l->n] = l->list[l->n + 1] = NULL;
	return info_from_row(l->e, row, &l->list[l->n++], l->err);
}

int image_list(struct engine *e, struct image_info ***ret, struct err *err)
{
	struct listing l = { .e = e, .list = xcalloc(1, sizeof(*l.list)), .err = err };
	int r = images_each(e->db, add_to_listing, &l, err);

	if (r < 0) {
		image_list_free(l.list);
		return r;
	}
	*ret = l.list;
	return 0;
}

int image_check_alias(const char *alias, struct err *err)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len = strlen(alias);

	if (len == 0 || len > MAX_ALIAS || !strchr(letters, *alias) || digest_is_hex(alias))
		return err_set(err, -EINVAL,
			       "'%.100s' cannot be an alias: it needs 1 to %d characters, a letter or digit first, and "
			       "must not look like a fingerprint",
			       alias, MAX_ALIAS);
	for (const char *c = alias; *c; c++)
		if (!strchr(letters, *c) && !strchr("-_.:/@+", *c))
			return err_set(err, -EINVAL,
				       "'%.100s' cannot be an alias: letters, digits and -_.:/@+ are allowed", alias);
	return 0;
}

int image_alias_add(struct engine *e, const char *alias, const char *fingerprint, struct err *err)
{
	AUTO(image_row_done) struct image_row row = { 0 };
	int r;

	r = image_check_alias(alias, err);
	if (r == 0)
		r = images_find(e->db, fingerprint, &row, err);
	return r < 0 ? r : images_set_alias(e->db, alias, row.fingerprint, /* may_move= */ false, err);
}

int image_alias_delete(struct engine *e, const char *alias, struct err *err)
{
	return images_delete_alias(e->db, alias, err);
}

static int is_needed(void *ctx, const char *diff_id, struct err *err)
{
	struct engine *e = ctx;

	return images_find_layer(e->db, diff_id, /* ret_bytes= */ NULL, err);
}

int image_sweep_layers(struct engine *e, struct err *err)
{
	return layer_sweep(e->settings.state_dir, is_needed, e, err);
}

int image_delete(struct engine *e, const char *name, struct err *err)
{
	AUTO(image_row_done) struct image_row row = { 0 };
	int r;

	r = images_find(e->db, name, &row, err);
	if (r == 0)
		r = images_delete(e->db, row.fingerprint, err);
	if (r < 0)
		return r;
	(void)image_sweep_layers(e, NULL); /* the image is gone; what stays of it goes with the next sweep */
	return 0;
}

int image_sweep(struct engine *e, struct err *err)
{
	int r = scratch_sweep(e->settings.state_dir, err);

	if (r == 0)
		r = image_sweep_layers(e, err);
	return r < 0 ? err_wrap(err, r, "cannot tidy up the images") : 0;
}
