/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * bundle.h - checkpoint archives: Podman's layout with our manifest beside it
 *
 * Members, in this order: artifacts/ ; config.dump ; spec.dump ; network.status ; stats-dump ; ctr.log ; stasis.json ;
 * checkpoint/ and its files ; rootfs-diff.tar ; deleted.files ; deleted.files.raw ; volumes/NAME.tar ; stasis.sums.
 * (What each holds: doc/archive-format.md.) Reading takes ours, Podman's, and plain ones of CRIU and a runtime
 * (checkpoint/ and spec.dump or config.json).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct json;

enum bundle_compression { BUNDLE_ZSTD, BUNDLE_GZIP, BUNDLE_NONE };

/* What goes into an archive. Borrowed by the writer. */
struct bundle_source {
	const char *images;   /* folder with CRIU's images and descriptors.json; NULL: no memory */
	const char *upper;    /* captured upper tree (overlay's whiteouts and opaque marks); NULL: --ignore-rootfs */
	char *const *lower;   /* the image's layer folders, lowest first: what a replaced folder held */
	char *const *volumes; /* "NAME=FOLDER", NULL-terminated; NULL: none */
	const struct json *config;   /* config.dump */
	const struct json *manifest; /* stasis.json */
	const char *spec;	     /* path of the OCI spec */
	const char *log;	     /* path of the k8s-file log, or NULL */
	const char *stats;	     /* path of CRIU's stats-dump, or NULL */
	const struct json *network;  /* network.status, or NULL */
	enum bundle_compression compression;
	int threads; /* for zstd; 0: as many as processors */
};

/* Called now and then with the bytes done and expected; returning false cancels (-ECANCELED). */
typedef bool (*bundle_progress)(uint64_t done, uint64_t total, void *ctx);

/* An upper bound of what bundle_write() will write, for the check of free space: computed without compressing. */
int bundle_estimate(const struct bundle_source *src, uint64_t *ret, struct err *err);

/* Writes to @fd from its position on. rootfs-diff.tar and deleted.files are made from @upper so that Podman's importer
 * restores what our own does: type changes, replaced folders (per-child deletions), modes, owners, ns times (PAX),
 * SCHILY.xattr.* including trusted.*, hard links, sparse files. */
int bundle_write(int fd, const struct bundle_source *src, bundle_progress progress, void *ctx, uint64_t *ret_bytes,
		 struct err *err);

/* What was found in an archive. */
struct bundle {
	struct json *config;   /* config.dump, or NULL */
	struct json *spec;     /* spec.dump or config.json */
	struct json *manifest; /* stasis.json, or NULL */
	struct json *network;  /* or NULL */
	bool has_images, has_rootfs, has_log;
	bool has_stats;	    /* stats-dump */
	bool has_shm;	    /* devshm-checkpoint.tar: /dev/shm of a container of Podman's, where it is a mount */
	char **volumes;	    /* names */
	char **deleted;	    /* from deleted.files: absolute, clean, never the root itself */
	uint64_t bytes;	    /* of the files in the folder */
	uint64_t n_skipped; /* members that were not known */
};
void bundle_done(struct bundle *b);
AUTO_DEFINE_IN(struct bundle, bundle_done)

struct bundle_limits {
	uint64_t bytes; /* of all that is unpacked */
	uint64_t entries;
};

/*
 * bundle_read() - unpack a hostile archive into @dir, which is fresh, 0700 and ours
 *
 * Afterwards @dir holds checkpoint/ (only regular files with allow-listed names), rootfs-diff.tar, volumes/NAME.tar,
 * devshm-checkpoint.tar, ctr.log, stats-dump as they came, all 0600; the JSON files are parsed and bounded. Names that
 * are not known are skipped, and counted; names that try to get out, links, devices, duplicates are -EINVAL with the
 * name; beyond @limits is -E2BIG. Nothing outside of @dir is touched. descriptors.json must hold exactly three strings.
 * After an error @dir holds rubbish, for the caller to remove. Progress is in bytes of the archive as it is packed.
 */
int bundle_read(int fd, const char *dir, const struct bundle_limits *limits, bundle_progress progress, void *ctx,
		struct bundle *ret, struct err *err);

/*
 * bundle_make_upper() - rootfs-diff.tar and deleted.files become an overlay's upper folder
 *
 * @lower as above: a deletion becomes a whiteout only where the layers have such a name; a folder that replaces what
 * was no folder becomes opaque; one that the tar does not mention gets the attributes it has in the layers. @upper does
 * not exist yet, and after an error it does not either. @diff_tar NULL: there are deletions only. Device nodes are made
 * (the container's cgroup decides who may open them), whiteouts and attributes of overlayfs are not taken from the tar.
 */
int bundle_make_upper(const char *diff_tar, char *const *deleted, char *const *lower, const char *upper,
		      struct err *err);

/* volumes/NAME.tar becomes a volume's folder, which does not exist yet. */
int bundle_make_volume(const char *tar, const char *folder, struct err *err);
