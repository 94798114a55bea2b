/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "test.h"

static char *in_dir(const char *name)
{
	return path_join(test_dir(), name);
}

static void put(const char *path, const char *text)
{
	struct err err = ERR_INIT;

	if (file_write_whole(path, text, strlen(text), 0644, &err) < 0)
		printf("     %s\n", err.text);
}

TEST(read_whole)
{
	autofree char *path = in_dir("read");
	autofree char *a = NULL;
	autofree char *b = NULL;
	autofree char *c = NULL;
	size_t len = 99;
	struct err err = ERR_INIT;

	put(path, "hello");
	CHECK_INT(file_read(path, 5, &a, &len, &err), 0);
	CHECK_STR(a, "hello");
	CHECK_INT(len, 5);
	CHECK_INT(file_read(path, 4, &b, NULL, &err), -EFBIG);
	CHECK(!b && strstr(err.text, path));
	CHECK_INT(file_read(path, SIZE_MAX, &c, NULL, &err), 0);
	CHECK_STR(c, "hello");
}

TEST(read_empty_missing_folder)
{
	autofree char *path = in_dir("empty");
	autofree char *a = NULL;
	autofree char *b = NULL;
	size_t len = 99;
	struct err err = ERR_INIT;

	put(path, "");
	CHECK_INT(file_read(path, 0, &a, &len, &err), 0);
	CHECK_STR(a, "");
	CHECK_INT(len, 0);
	CHECK_INT(file_read("/nonexistent/x", 10, &b, NULL, &err), -ENOENT);
	CHECK_STR(err.text, "/nonexistent/x: No such file or directory");
	CHECK_INT(file_read(test_dir(), 10, &b, NULL, &err), -EISDIR);
	CHECK(!b);
}

TEST(read_proc)
{
	autofree char *a = NULL;
	autofree char *b = NULL;
	size_t len = 0;
	struct err err = ERR_INIT;

	CHECK_INT(file_read("/proc/self/status", 1 << 20, &a, &len, &err), 0);
	CHECK(len > 100 && strlen(a) == len && strstr(a, "VmRSS:"));
	CHECK_INT(file_read("/proc/self/status", 10, &b, NULL, &err), -EFBIG);
	CHECK_INT(file_read("/proc/kallsyms", SIZE_MAX, &b, &len, &err), 0); /* many reads */
	CHECK(b && len > 65536);
}

TEST(read_of_each_size_around_the_buffer)
{
	autofree char *path = in_dir("sizes");
	autofree char *text = xmalloc(20001);

	memset(text, 'x', 20001);
	for (size_t n = 4090; n < 4100; n++) {
		autofree char *got = NULL;
		size_t len = 0;

		CHECK_INT(file_write_whole(path, text, n, 0600, NULL), 0);
		CHECK_INT(file_read(path, n, &got, &len, NULL), 0);
		CHECK_INT(len, n);
	}
}

TEST(poke_creates_nothing)
{
	autofree char *path = in_dir("poke");
	autofree char *text = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(file_poke(path, "1", &err), -ENOENT);
	CHECK(!path_exists(path));
	put(path, "0");
	CHECK_INT(file_poke(path, "1", &err), 0);
	CHECK_INT(file_read(path, 10, &text, NULL, NULL), 0);
	CHECK_STR(text, "1");
	CHECK_INT(file_poke("/proc/sys/kernel/ostype", "x", &err), -EACCES);
}

static size_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	size_t n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n - 2;
}

TEST(write_whole_replaces_and_leaves_nothing_beside)
{
	autofree char *dir = in_dir("whole");
	autofree char *path = path_join(dir, "f");
	autofree char *text = NULL;
	struct stat st;
	mode_t old = umask(077);

	CHECK_INT(path_mkdirs(dir, 0755, NULL), 0);
	CHECK_INT(file_write_whole(path, "one", 3, 0600, NULL), 0);
	CHECK_INT(file_write_whole(path, "two!", 4, 0644, NULL), 0);
	umask(old);
	CHECK_INT(file_read(path, 10, &text, NULL, NULL), 0);
	CHECK_STR(text, "two!");
	CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0644);
	CHECK_INT(count_entries(dir), 1);
}

TEST(write_whole_that_fails_leaves_things_as_they_were)
{
	autofree char *dir = in_dir("fails");
	autofree char *path = path_join(dir, "folder");
	autofree char *inside = path_join(path, "x");
	struct err err = ERR_INIT;

	CHECK_INT(path_mkdirs(path, 0755, NULL), 0);
	put(inside, "x");
	CHECK(file_write_whole(path, "one", 3, 0600, &err) < 0); /* a full folder is in the way */
	CHECK(strstr(err.text, path));
	CHECK_INT(count_entries(dir), 1);
	CHECK_INT(file_write_whole("/nonexistent/f", "x", 1, 0600, &err), -ENOENT);
}

TEST(write_whole_in_the_current_folder)
{
	autoclose int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	REQUIRE(here >= 0 && chdir(test_dir()) == 0);
	CHECK_INT(file_write_whole("relative", "x", 1, 0600, NULL), 0);
	CHECK(path_exists("relative"));
	CHECK(fchdir(here) == 0);
}

struct reader {
	const char *path;
	atomic_bool is_over;
	int n_bad;
};

static void *read_always(void *arg)
{
	struct reader *r = arg;

	while (!atomic_load(&r->is_over)) {
		char *text = NULL;
		size_t len = 0;

		if (file_read(r->path, 1 << 20, &text, &len, NULL) < 0 || len != 100000 || text[0] != text[len - 1])
			r->n_bad++;
		free(text);
	}
	return NULL;
}

TEST(a_reader_sees_the_old_or_the_new_file)
{
	autofree char *path = in_dir("atomic");
	autofree char *text = xmalloc(100000);
	struct reader reader = { .path = path };
	pthread_t t;

	memset(text, 'a', 100000);
	CHECK_INT(file_write_whole(path, text, 100000, 0600, NULL), 0);
	REQUIRE(pthread_create(&t, NULL, read_always, &reader) == 0);
	for (int i = 0; i < 50; i++) {
		memset(text, 'a' + i % 26, 100000);
		CHECK_INT(file_write_whole(path, text, 100000, 0600, NULL), 0);
	}
	atomic_store(&reader.is_over, true);
	pthread_join(t, NULL);
	CHECK_INT(reader.n_bad, 0);
}

static void on_alarm(int sig)
{
	(void)sig;
}

struct sink {
	int fd;
	size_t len;
	bool is_wrong;
};

static void *read_slowly(void *arg)
{
	struct sink *s = arg;
	unsigned char buf[3000];
	sigset_t all;
	ssize_t n;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	while ((n = read(s->fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++, s->len++)
			s->is_wrong |= buf[i] != (unsigned char)(s->len * 7);
		if (s->len % 7 == 0)
			usleep(500);
	}
	return NULL;
}

/* A pipe takes what fits, and a timer interrupts each wait. */
TEST(write_all_survives_short_writes_and_signals)
{
	struct sigaction sa = { .sa_handler = on_alarm }, old;
	struct itimerval every = { .it_interval.tv_usec = 300, .it_value.tv_usec = 300 }, off = { 0 };
	const size_t len = 1 << 20;
	autofree unsigned char *data = xmalloc(len);
	struct sink sink = { 0 };
	pthread_t t;
	int ends[2];

	for (size_t i = 0; i < len; i++)
		data[i] = (unsigned char)(i * 7);
	REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
	fcntl(ends[1], F_SETPIPE_SZ, 4096);
	sink.fd = ends[0];
	REQUIRE(pthread_create(&t, NULL, read_slowly, &sink) == 0);
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &every, NULL);
	CHECK_INT(file_write_all(ends[1], data, len, NULL), 0);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	close(ends[1]);
	pthread_join(t, NULL);
	close(ends[0]);
	CHECK_INT(sink.len, len);
	CHECK(!sink.is_wrong);
}

TEST(write_all_says_what_fails)
{
	autoclose int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct err err = ERR_INIT;

	CHECK_INT(file_write_all(full, "x", 1, &err), -ENOSPC);
	CHECK_INT(file_write_all(full, "", 0, &err), 0);
}

static bool same_file(int a, int b)
{
	char x[4096], y[4096];
	struct stat sa, sb;

	if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0 || sa.st_size != sb.st_size)
		return false;
	for (off_t at = 0; at < sa.st_size; at += 4096) {
		ssize_t n = pread(a, x, 4096, at);

		if (n < 0 || pread(b, y, 4096, at) != n || memcmp(x, y, (size_t)n) != 0)
			return false;
	}
	return true;
}

TEST(copy_keeps_holes)
{
	autofree char *a = in_dir("sparse");
	autofree char *b = in_dir("sparse-copy");
	autoclose int from = open(a, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	autoclose int to = open(b, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	int r;

	REQUIRE(from >= 0 && to >= 0);
	CHECK(pwrite(from, "begin", 5, 1 << 20) == 5);
	CHECK(pwrite(from, "middle", 6, (8 << 20) + 17) == 6);
	CHECK(ftruncate(from, 64 << 20) == 0);
	r = file_copy(from, to, NULL);
	CHECK(r == 0 || r == 1);
	CHECK(same_file(from, to));
	CHECK(fstat(to, &st) == 0 && st.st_blocks * 512 < 1 << 20);
	CHECK_INT(lseek(to, 0, SEEK_CUR), 64 << 20);
}

TEST(copy_of_nothing_and_of_a_hole)
{
	autofree char *a = in_dir("hole-a");
	autofree char *b = in_dir("hole-b");
	autoclose int from = open(a, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	autoclose int to = open(b, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CHECK(file_copy(from, to, NULL) >= 0);
	CHECK(same_file(from, to));
	CHECK(ftruncate(from, 100000) == 0);
	CHECK(file_copy(from, to, NULL) >= 0);
	CHECK(same_file(from, to));
}

TEST(copy_the_rest_behind_what_is_there)
{
	autofree char *a = in_dir("rest-a");
	autofree char *b = in_dir("rest-b");
	autoclose int from = -1;
	autoclose int to = open(b, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	autofree char *text = NULL;

	put(a, "0123456789");
	from = open(a, O_RDONLY | O_CLOEXEC);
	CHECK(lseek(from, 4, SEEK_SET) == 4);
	CHECK(write(to, "head-", 5) == 5);
	CHECK_INT(file_copy(from, to, NULL), 0);
	CHECK_INT(file_write_all(to, "!", 1, NULL), 0);
	CHECK_INT(file_read(b, 100, &text, NULL, NULL), 0);
	CHECK_STR(text, "head-456789!");
}

TEST(copy_between_file_systems_and_from_proc)
{
	char shm[] = "/dev/shm/stasis-test.XXXXXX";
	autoclose int from = mkostemp(shm, O_CLOEXEC);
	autofree char *b = in_dir("cross");
	autofree char *c = in_dir("proc");
	autoclose int to = open(b, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	autoclose int proc = open("/proc/version", O_RDONLY | O_CLOEXEC);
	autoclose int to2 = open(c, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	autofree char *text = NULL;
	autofree char *want = NULL;

	REQUIRE(from >= 0);
	unlink(shm);
	CHECK(pwrite(from, "far", 3, 3 << 20) == 3);
	CHECK_INT(file_copy(from, to, NULL), 0);
	CHECK(same_file(from, to));
	CHECK_INT(file_copy(proc, to2, NULL), 0);
	CHECK_INT(file_read(c, 4096, &text, NULL, NULL), 0);
	CHECK_INT(file_read("/proc/version", 4096, &want, NULL, NULL), 0);
	CHECK_STR(text, want);
}

TEST(copy_into_and_out_of_pipes)
{
	autofree char *a = in_dir("pipe-a");
	autofree char *b = in_dir("pipe-b");
	autoclose int from = -1;
	autoclose int to = open(b, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int ends[2];

	put(a, "through a pipe");
	from = open(a, O_RDONLY | O_CLOEXEC);
	REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
	CHECK_INT(file_copy(from, ends[1], NULL), 0);
	close(ends[1]);
	CHECK_INT(file_copy(ends[0], to, NULL), 0);
	close(ends[0]);
	CHECK(same_file(from, to));
}

TEST(copy_says_what_fails)
{
	autofree char *a = in_dir("bad-a");
	autoclose int from = -1;
	autoclose int read_only = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	autoclose int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct err err = ERR_INIT;

	put(a, "x");
	from = open(a, O_RDONLY | O_CLOEXEC);
	CHECK_INT(file_copy(from, full, &err), -ENOSPC);
	CHECK(lseek(from, 0, SEEK_SET) == 0);
	CHECK_INT(file_copy(from, read_only, &err), -EBADF);
}

TEST(sync_of_a_folder)
{
	CHECK_INT(file_sync_dir(test_dir(), NULL), 0);
	CHECK_INT(file_sync_dir("/nonexistent", NULL), -ENOENT);
}
