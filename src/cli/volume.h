/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* volume.h - named volumes, for `volume …` and for `launch --volume` */
#include <stdbool.h>

#include "base/err.h"

struct client;
struct json;

#define VOLUME_URL "/1.0/storage-pools/default/volumes/custom"

char *volume_url(const char *name); /* a new string */

int volume_create(struct client *c, const char *name, struct err *err);
int volume_delete(struct client *c, const char *name, struct err *err);

/* What the API calls a device: the volume at @path. */
struct json *volume_device(const char *name, const char *path, bool is_readonly);

/* Each "NAME:PATH[:ro]" as a member of @devices. CLI_EUSAGE names the word that is none. @words may be NULL. */
int volume_words_to_devices(char *const *words, struct json *devices, struct err *err);

/* Makes those volumes of @devices that do not exist; their names are added to *made, also when it fails. */
int volume_make_missing(struct client *c, const struct json *devices, char ***made, struct err *err);
