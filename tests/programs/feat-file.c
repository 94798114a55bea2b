/* SPDX-License-Identifier: Apache-2.0 */
/* feat-file.c - files: deleted, renamed away, mapped, locked, watched */
#include "feat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL	    5000
#define BIG	    (3 * 1024 * 1024)
#define TMPFS_MAGIC 0x01021994

static int fd, other_fd;
static size_t size;
static char *map;

static void write_pattern(int to, size_t len)
{
	char *buf = malloc(len);

	pattern_fill(buf, len, 7);
	for (size_t done = 0; done < len;)
		done += (size_t)MUST(write(to, buf + done, len - done));
	free(buf);
}

static void check_pattern(int from, size_t len)
{
	char *buf = malloc(len);

	if (pread(from, buf, len, 0) != (ssize_t)len)
		fail("the file is shorter than it was");
	else if (!pattern_check(buf, len, 7))
		fail("the file's content has changed");
	free(buf);
}

static void make_deleted(size_t len)
{
	size = len;
	fd = MUST(open("/deleted", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	write_pattern(fd, len);
	MUST(unlink("/deleted"));
	MUST(lseek(fd, 1234, SEEK_SET));
}

static void arm_deleted_small(void)
{
	make_deleted(SMALL);
}

static void arm_deleted_big(void)
{
	make_deleted(BIG);
}

static void verify_deleted(void)
{
	struct stat st;

	MUST(fstat(fd, &st));
	if (st.st_nlink != 0)
		fail("the deleted file has %lu names", (unsigned long)st.st_nlink);
	if ((size_t)st.st_size != size)
		fail("size %lld, was %zu", (long long)st.st_size, size);
	if (lseek(fd, 0, SEEK_CUR) != 1234)
		fail("the offset has moved");
	if (access("/deleted", F_OK) == 0)
		fail("the deleted file has its name back");
	check_pattern(fd, size);
	if (pwrite(fd, "x", 1, (off_t)size) != 1 || ftruncate(fd, (off_t)size) < 0)
		fail("cannot write: %s", strerror(errno));
}

/* The name is gone while another link to the same file stays. */
static void arm_link_gone(void)
{
	fd = MUST(open("/link-a", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	write_pattern(fd, SMALL);
	MUST(link("/link-a", "/link-b"));
	MUST(unlink("/link-a"));
}

static void verify_link_gone(void)
{
	struct stat a, b;

	MUST(fstat(fd, &a));
	if (stat("/link-b", &b) < 0)
		fail("the other link is gone");
	else if (a.st_ino != b.st_ino)
		fail("descriptor and link are two files now");
	if (a.st_nlink != 1)
		fail("%lu links, was 1", (unsigned long)a.st_nlink);
	check_pattern(fd, SMALL);
}

/* Offsets, flags and shared descriptions. */
static void arm_offsets(void)
{
	fd = MUST(open("/offsets", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0640));
	write_pattern(fd, SMALL);
	other_fd = MUST(fcntl(fd, F_DUPFD, 300));
	MUST(lseek(fd, 17, SEEK_SET));
}

static void verify_offsets(void)
{
	if (lseek(other_fd, 0, SEEK_CUR) != 17)
		fail("the shared offset has moved");
	lseek(other_fd, 18, SEEK_SET);
	if (lseek(fd, 17, SEEK_SET) != 17 || lseek(other_fd, 0, SEEK_CUR) != 17)
		fail("the two descriptors no longer share one offset");
	if (!(fcntl(fd, F_GETFL) & O_APPEND))
		fail("O_APPEND is lost");
	if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC) || (fcntl(other_fd, F_GETFD) & FD_CLOEXEC))
		fail("close-on-exec is not as it was");
	check_pattern(fd, SMALL);
}

static void arm_tmpfs(void)
{
	struct statfs fs;

	MUST(statfs("/dev/shm", &fs));
	if (fs.f_type != TMPFS_MAGIC)
		unsupported("/dev/shm is no tmpfs");
	fd = MUST(open("/dev/shm/file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	write_pattern(fd, 1024 * 1024);
	MUST(mkdir("/dev/shm/folder", 0711));
	MUST(symlink("../file", "/dev/shm/folder/link"));
}

static void verify_tmpfs(void)
{
	struct stat st;
	struct statfs fs;
	int again = open("/dev/shm/folder/link", O_RDONLY | O_CLOEXEC);

	if (again < 0) {
		fail("the files of the tmpfs are gone");
		return;
	}
	check_pattern(fd, 1024 * 1024);
	check_pattern(again, 1024 * 1024);
	close(again);
	if (stat("/dev/shm/folder", &st) < 0 || (st.st_mode & 07777) != 0711)
		fail("the folder's mode is not as it was");
	if (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		fail("/dev/shm is no tmpfs any more");
}

/* A shared mapping of a file, dirty, and its file: one content. */
static void arm_mapped(void)
{
	fd = MUST(open("/mapped", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	MUST(ftruncate(fd, BIG));
	map = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map == MAP_FAILED ? -1 : 0, "mmap");
	pattern_fill(map, BIG, 7);
}

static void verify_mapped(void)
{
	check_pattern(fd, BIG);
	if (!pattern_check(map, BIG, 7))
		fail("the mapping's content has changed");
	map[0]++;
	if (pread(fd, &map[1], 1, 0) != 1 || map[1] != map[0])
		fail("mapping and file have come apart");
	pattern_fill(map, BIG, 7);
}

/* flock and POSIX lock, asked for by another process. */
static void arm_flock(void)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20 };

	fd = MUST(open("/locked", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(flock(fd, LOCK_EX));
	other_fd = MUST(open("/locked-range", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(fcntl(other_fd, F_SETLK, &range));
}

static void try_locks(void *unused)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100 };
	int a = open("/locked", O_RDWR | O_CLOEXEC);
	int b = open("/locked-range", O_RDWR | O_CLOEXEC);

	if (flock(a, LOCK_EX | LOCK_NB) == 0)
		_exit(1);
	if (fcntl(b, F_GETLK, &range) < 0 || range.l_type != F_WRLCK || range.l_start != 10 || range.l_len != 20)
		_exit(2);
	_exit(0);
}

static void verify_flock(void)
{
	int status;
	pid_t pid = spawn(try_locks, NULL);

	MUST(waitpid(pid, &status, 0));
	if (status != 0)
		fail("the %s lock is lost", WEXITSTATUS(status) == 1 ? "flock" : "POSIX");
}

/* What SQLite does in WAL mode: a POSIX lock on a file that is also mapped. */
static void arm_lock_mapped(void)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20 };

	fd = MUST(open("/locked", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(flock(fd, LOCK_EX));
	other_fd = MUST(open("/locked-range", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(ftruncate(other_fd, 4096));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other_fd, 0);
	must(map == MAP_FAILED ? -1 : 0, "mmap");
	MUST(fcntl(other_fd, F_SETLK, &range));
}

static void arm_inotify(void)
{
	MUST(mkdir("/watched", 0755));
	fd = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	if (inotify_add_watch(fd, "/watched", IN_CREATE | IN_DELETE) < 0)
		unsupported("inotify_add_watch: %s", strerror(errno));
}

static void verify_inotify(void)
{
	char buf[4096] __attribute__((aligned(8)));
	const struct inotify_event *event = (const void *)buf;
	ssize_t n;

	while (read(fd, buf, sizeof(buf)) > 0) /* a queue overflow or events of the restore are not ours */
		continue;
	MUST(close(MUST(open("/watched/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600))));
	n = read(fd, buf, sizeof(buf));
	if (n <= 0 || !(event->mask & IN_CREATE) || strcmp(event->name, "new") != 0)
		fail("a new file in the watched folder was not reported");
	MUST(unlink("/watched/new"));
}

static void arm_cwd(void)
{
	MUST(mkdir("/some", 0755));
	MUST(mkdir("/some/where", 0755));
	MUST(chdir("/some/where"));
	umask(0137);
}

static void verify_cwd(void)
{
	char cwd[100] = "";
	mode_t mask;

	if (!getcwd(cwd, sizeof(cwd)) || strcmp(cwd, "/some/where") != 0)
		fail("the working directory is '%s'", cwd);
	mask = umask(0137);
	if (mask != 0137)
		fail("the umask is %03o", (unsigned)mask);
}

const struct feature file_features[] = {
	{ "cwd", arm_cwd, verify_cwd, NULL },
	{ "deleted-big", arm_deleted_big, verify_deleted, NULL },
	{ "deleted-small", arm_deleted_small, verify_deleted, NULL },
	{ "flock", arm_flock, verify_flock, NULL },
	{ "inotify", arm_inotify, verify_inotify, NULL },
	{ "link-gone", arm_link_gone, verify_link_gone, NULL },
	{ "lock-mapped", arm_lock_mapped, verify_flock, NULL },
	{ "mapped", arm_mapped, verify_mapped, NULL },
	{ "offsets", arm_offsets, verify_offsets, NULL },
	{ "tmpfs", arm_tmpfs, verify_tmpfs, NULL },
	{ 0 },
};
