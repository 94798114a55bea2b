/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * canary.h - a tree that nobody may touch
 *
 * canary_sum() covers names, contents, modes, owners, link counts and all times of everything below a folder, the time
 * of the last change of an inode among them: whatever is done to it, the sum is another one.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "test.h"

static inline void canary_walk(const char *path, struct strbuf *sb)
{
	struct stat st = { 0 };
	struct dirent **list;
	char *text = NULL;
	int n;

	CHECK(lstat(path, &st) == 0);
	strbuf_addf(sb, "%s %o %u:%u %llu %llu %ld.%09ld %ld.%09ld\n", path, st.st_mode, st.st_uid, st.st_gid,
		    (unsigned long long)st.st_nlink, (unsigned long long)st.st_size, st.st_mtim.tv_sec,
		    st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	if (S_ISREG(st.st_mode) && file_read(path, 1 << 20, &text, NULL, NULL) == 0)
		strbuf_addf(sb, "%s\n", text);
	free(text);
	if (!S_ISDIR(st.st_mode))
		return;
	n = scandir(path, &list, NULL, alphasort);
	CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		autofree char *sub = path_join(path, list[i]->d_name);

		if (strcmp(list[i]->d_name, ".") != 0 && strcmp(list[i]->d_name, "..") != 0)
			canary_walk(sub, sb);
		free(list[i]);
	}
	free(list);
}

static inline char *canary_sum(const char *path)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;

	canary_walk(path, &sb);
	return strbuf_take(&sb);
}

/* A folder with a secret, a program with setuid, a folder and a link. */
static inline char *canary_make(const char *name)
{
	char *path = path_join(test_dir(), name);
	autofree char *folder = path_join(path, "folder"), *deep = path_join(folder, "deep");
	autofree char *secret = path_join(path, "secret"), *link = path_join(path, "link");

	CHECK_INT(path_mkdirs(folder, 0755, NULL), 0);
	CHECK_INT(file_write_whole(secret, "untouched", 9, 0644, NULL), 0);
	CHECK_INT(file_write_whole(deep, "untouched too", 13, 04755, NULL), 0);
	CHECK_INT(symlink("secret", link), 0);
	return path;
}
