/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quad - several processes, each of which keeps one number in memory and in many places
 *
 * Each worker counts in private memory, one step a tick (1 ms), and then puts the number into a file of the root file
 * system by write(2), one that it has mapped shared, the same two in a volume (--volume), and the same two in /dev/shm.
 * A place holds the last SLOTS numbers, number n in slot n % SLOTS: one from another instant than the memory shows at
 * the next tick, or after a gap in time, when all slots are looked at. With --big the worker also rewrites one page of
 * a file of its own each tick, and knows in memory what each page must hold.
 *
 * So at whatever instant all is stopped, no place is ahead of the memory, none is more than one step behind it, and
 * they were written in the order of the list. The counters lie at a fixed address (struct page), for tests that look
 * from outside: /proc/PID/mem and the files.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE_ADDRESS ((void *)0x200000000000)
#define PAGE_SIZE    4096
#define SLOTS	     2048
#define WORKERS_MAX  16
#define PLACES_MAX   6
#define GAP_US	     40000

/* Read by tests/e2e/quad.py: keep the order. */
struct page {
	char magic[8]; /* "STASISQ1" */
	uint64_t count;
	uint64_t run; /* random: another value is another boot */
	uint64_t errors;
	uint64_t worker;
	uint64_t gaps; /* times that stood still for longer than GAP_US, and all slots were looked at */
	uint64_t longest_gap_us;
	uint64_t bad_place, bad_expected, bad_found; /* of the first error */
};

struct place {
	const char *folder;
	bool is_mapped;
	int fd;
	uint64_t *slots;
};

static struct page *page;
static struct place places[PLACES_MAX];
static size_t n_places;
static int big_fd = -1;
static uint64_t *big, n_big;
static pid_t workers[WORKERS_MAX];

static void die(const char *what)
{
	fprintf(stderr, "quad: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void complain(uint64_t place, uint64_t expected, uint64_t found)
{
	char line[160];
	int len = snprintf(line, sizeof(line),
			   "ERROR worker %" PRIu64 " place %" PRIu64 " count %" PRIu64 ": expected %" PRIu64
			   ", found %" PRIu64 "\n",
			   page->worker, place, page->count, expected, found);

	if (page->errors++ == 0) {
		page->bad_place = place;
		page->bad_expected = expected;
		page->bad_found = found;
	}
	if (page->errors < 20)
		(void)!write(STDOUT_FILENO, line, (size_t)len);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t read_slot(const struct place *p, uint64_t n)
{
	uint64_t value = UINT64_MAX;

	if (p->is_mapped)
		return __atomic_load_n(&p->slots[n % SLOTS], __ATOMIC_SEQ_CST);
	if (pread(p->fd, &value, sizeof(value), (off_t)(n % SLOTS * sizeof(value))) != sizeof(value))
		return UINT64_MAX;
	return value;
}

static void write_slot(struct place *p, uint64_t n)
{
	if (p->is_mapped)
		__atomic_store_n(&p->slots[n % SLOTS], n, __ATOMIC_SEQ_CST);
	else if (pwrite(p->fd, &n, sizeof(n), (off_t)(n % SLOTS * sizeof(n))) != sizeof(n))
		die("write");
}

/* The last number; after a gap all that a place holds. */
static void check_places(bool all)
{
	uint64_t from = page->count;

	if (all)
		from = page->count >= SLOTS ? page->count - SLOTS + 1 : 0;
	for (uint64_t i = 0; i < n_places; i++)
		for (uint64_t n = from; n <= page->count; n++) {
			uint64_t found = read_slot(&places[i], n);

			if (found == n)
				continue;
			complain(i, n, found);
			break;
		}
}

static void check_big(uint64_t i)
{
	uint64_t found[PAGE_SIZE / sizeof(uint64_t)];

	if (pread(big_fd, found, sizeof(found), (off_t)(i * PAGE_SIZE)) != sizeof(found))
		complain(99, big[i], UINT64_MAX);
	else if (found[0] != big[i] || found[511] != big[i])
		complain(99, big[i], found[0]);
}

static void write_big(uint64_t i)
{
	uint64_t data[PAGE_SIZE / sizeof(uint64_t)];

	for (size_t w = 0; w < PAGE_SIZE / sizeof(uint64_t); w++)
		data[w] = page->count;
	big[i] = page->count;
	if (pwrite(big_fd, data, sizeof(data), (off_t)(i * PAGE_SIZE)) != sizeof(data))
		die("write of the big file");
}

static void tick(uint64_t *last_us)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t t, gap;

	nanosleep(&ms, NULL);
	t = now_us();
	gap = t > *last_us ? t - *last_us : 0;
	*last_us = t;
	if (gap > page->longest_gap_us)
		page->longest_gap_us = gap;
	check_places(gap > GAP_US);
	if (gap > GAP_US) {
		for (uint64_t i = 0; i < n_big; i++)
			check_big(i);
		page->gaps++;
	}

	__atomic_store_n(&page->count, page->count + 1, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < n_places; i++)
		write_slot(&places[i], page->count);
	if (n_big > 0) {
		uint64_t i = page->count * 2654435761u % n_big;

		check_big(i);
		write_big(i);
	}
}

static int open_file(const char *folder, const char *kind, uint64_t worker)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s%" PRIu64, folder, kind, worker);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

static void open_place(struct place *p, uint64_t worker)
{
	static const uint64_t empty[SLOTS];

	p->fd = open_file(p->folder, p->is_mapped ? "mapped" : "written", worker);
	if (pwrite(p->fd, empty, sizeof(empty), 0) != sizeof(empty))
		die("a place");
	if (!p->is_mapped)
		return;
	p->slots = mmap(NULL, sizeof(empty), PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	if (p->slots == MAP_FAILED)
		die("mmap");
	(void)close(p->fd);
}

static void open_big(uint64_t mb, uint64_t worker)
{
	if (mb == 0)
		return;
	n_big = mb * 1024 * 1024 / PAGE_SIZE;
	big = calloc(n_big, sizeof(*big));
	if (!big)
		die("memory");
	big_fd = open_file("/quad", "big", worker);
	for (uint64_t i = 0; i < n_big; i++)
		write_big(i);
}

static void add_places(const char *folder)
{
	for (int i = 0; i < 2; i++)
		places[n_places++] = (struct place){ .folder = folder, .is_mapped = i == 1 };
}

static void work(uint64_t worker, uint64_t big_mb)
{
	uint64_t last_us;

	page->worker = worker;
	signal(SIGTERM, SIG_DFL);
	for (size_t i = 0; i < n_places; i++)
		open_place(&places[i], worker);
	open_big(big_mb, worker);
	memcpy(page->magic, "STASISQ1", sizeof(page->magic));
	last_us = now_us();
	for (;;)
		tick(&last_us);
}

static void on_term(int signal)
{
	(void)signal;
	for (size_t i = 0; i < WORKERS_MAX; i++)
		if (workers[i] > 0)
			(void)kill(workers[i], SIGKILL);
	_exit(0);
}

static void make_page(void)
{
	void *p = mmap(PAGE_ADDRESS, PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != PAGE_ADDRESS)
		die("the fixed page");
	page = p;
	if (getrandom(&page->run, sizeof(page->run), 0) != sizeof(page->run))
		die("getrandom");
}

static void usage(void)
{
	fputs("usage: quad [--volume FOLDER] [--workers N] [--big MB]\n", stderr);
	exit(98);
}

int main(int argc, char **argv)
{
	static const struct option table[] = { { "big", required_argument, NULL, 'b' },
					       { "volume", required_argument, NULL, 'v' },
					       { "workers", required_argument, NULL, 'w' },
					       { 0 } };
	uint64_t n = 4, big_mb = 0;
	const char *volume = NULL;
	int c, status;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (c == 'b')
			big_mb = strtoull(optarg, NULL, 10);
		else if (c == 'v')
			volume = optarg;
		else if (c == 'w')
			n = strtoull(optarg, NULL, 10);
		else
			usage();
	}
	if (optind != argc || n == 0 || n > WORKERS_MAX)
		usage();
	(void)mkdir("/quad", 0700);
	add_places("/quad");
	if (volume)
		add_places(volume);
	add_places("/dev/shm");
	make_page();
	for (uint64_t i = 0; i < n; i++) {
		workers[i] = fork();
		if (workers[i] < 0)
			die("fork");
		if (workers[i] == 0)
			work(i, big_mb);
	}
	signal(SIGTERM, on_term);
	(void)wait(&status); /* none ends by itself */
	fprintf(stderr, "quad: a worker has ended: %x\n", (unsigned int)status);
	return 97;
}
