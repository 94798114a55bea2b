/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "cli/outfile.h"
#include "test.h"

static char folder[128];

static char *make_folder(void)
{
	(void)snprintf(folder, sizeof(folder), "%s/out.XXXXXX", test_dir());
	return mkdtemp(folder);
}

static size_t count_files(void)
{
	DIR *d = opendir(folder);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		(void)closedir(d);
	return n - 2;
}

static char *content(const char *path)
{
	char *text = NULL;

	return file_read(path, 4096, &text, NULL, NULL) < 0 ? xstrdup("?") : text;
}

TEST(what_is_not_committed_leaves_nothing)
{
	struct outfile o = OUTFILE_NONE;
	autofree char *path = NULL, *text = NULL;

	REQUIRE(make_folder() != NULL);
	path = path_join(folder, "a");
	REQUIRE(file_write_whole(path, "old", 3, 0644, NULL) == 0);
	REQUIRE(outfile_open(&o, path, NULL) == 0);
	CHECK_INT(outfile_write(&o, "new", 3, NULL), 0);
	outfile_done(&o);
	CHECK(count_files() == 1);
	text = content(path);
	CHECK_STR(text, "old");
}

TEST(what_is_committed_replaces_and_is_private)
{
	struct outfile o = OUTFILE_NONE;
	autofree char *path = NULL, *text = NULL;
	struct stat st;

	REQUIRE(make_folder() != NULL);
	path = path_join(folder, "a");
	REQUIRE(file_write_whole(path, "old", 3, 0644, NULL) == 0);
	REQUIRE(outfile_open(&o, path, NULL) == 0);
	CHECK_INT(outfile_write(&o, "new", 3, NULL), 0);
	CHECK_INT(outfile_commit(&o, NULL), 0);
	outfile_done(&o);
	CHECK(count_files() == 1);
	text = content(path);
	CHECK_STR(text, "new");
	REQUIRE(stat(path, &st) == 0);
	CHECK_INT(st.st_mode & 07777, 0600);
}

TEST(a_links_target_is_replaced_and_not_the_link)
{
	struct outfile o = OUTFILE_NONE;
	autofree char *path = NULL, *link = NULL, *text = NULL;
	struct stat st;

	REQUIRE(make_folder() != NULL);
	path = path_join(folder, "a");
	link = path_join(folder, "b");
	REQUIRE(file_write_whole(path, "old", 3, 0644, NULL) == 0 && symlink("a", link) == 0);
	REQUIRE(outfile_open(&o, link, NULL) == 0);
	CHECK_INT(outfile_write(&o, "new", 3, NULL), 0);
	CHECK_INT(outfile_commit(&o, NULL), 0);
	outfile_done(&o);
	text = content(path);
	CHECK_STR(text, "new");
	CHECK(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
}

TEST(what_cannot_be_a_file_is_refused_before)
{
	static const char *const bad[] = { "/dev/null", "/tmp", "/tmp/", "/no/such/folder/x", "", "/" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct outfile o = OUTFILE_NONE;

		CHECK(outfile_open(&o, bad[i], NULL) < 0);
		outfile_done(&o);
	}
}

TEST(a_long_name_and_no_room)
{
	struct outfile o = OUTFILE_NONE;
	autofree char *path = NULL;
	char name[256];

	REQUIRE(make_folder() != NULL);
	memset(name, 'x', 255);
	name[255] = '\0';
	path = path_join(folder, name);
	REQUIRE(outfile_open(&o, path, NULL) == 0);
	CHECK_INT(outfile_check_room(&o, 1, NULL), 0);
	CHECK_INT(outfile_check_room(&o, UINT64_MAX, NULL), -ENOSPC);
	CHECK_INT(outfile_commit(&o, NULL), 0);
	outfile_done(&o);
	CHECK(count_files() == 1);
}
