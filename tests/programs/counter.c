/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counter - counts in memory, then on disk, and notices when the two do not fit
 *
 * Each tick (1 ms) it reads the file back, which must say exactly what was last written, adds one to a counter in
 * memory and then writes it to the file. So the disk is never ahead of the memory, and at most one behind it, at
 * whatever instant the process is stopped; a restore that puts old memory on a newer disk, or an old disk under newer
 * memory, is seen at the next tick. With --fill it owns memory of a checked random pattern: one page per tick is
 * checked and rewritten, and all of it is checked after every gap in time.
 *
 * The counter in memory lies at a fixed address (struct page), so that a test can read both halves of the pair from
 * outside: /proc/PID/mem and the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define PAGE_ADDRESS ((void *)0x200000000000)
#define PAGE_SIZE    4096
#define WORDS	     (PAGE_SIZE / sizeof(uint64_t))
#define GAP_US	     200000

/* Read by tests/e2e/harness.py: keep the order. */
struct page {
	char magic[8]; /* "STASISC1" */
	uint64_t count;
	uint64_t run; /* random: another value is another boot */
	uint64_t errors;
	uint64_t lines; /* printed */
	uint64_t gaps;	/* times that stood still for longer than GAP_US */
	uint64_t longest_gap_us;
	uint64_t pages_checked;
	uint64_t boots;
};

struct options {
	const char *file;
	uint64_t fill_mb, every, exit_after;
	int exit_code;
	bool redirect, ignore_term;
};

static struct page *page;
static uint64_t (*fill)[WORDS];
static uint32_t *generation;
static uint64_t n_fill;
static int disk_fd, out_fd = STDOUT_FILENO;
static char record[128];
static size_t record_len;
static volatile sig_atomic_t has_to_end;

static void on_term(int signal)
{
	has_to_end = signal;
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char line[256];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (write(out_fd, line, (size_t)len) != len)
		page->errors++;
}

static void complain(const char *what, uint64_t expected, uint64_t found)
{
	page->errors++;
	say("ERROR %s: expected %" PRIu64 ", found %" PRIu64 "\n", what, expected, found);
}

static void die(const char *what)
{
	fprintf(stderr, "counter: %s: %s\n", what, strerror(errno));
	exit(99);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t seed_of(uint64_t i)
{
	uint64_t seed = page->run ^ (i << 24) ^ generation[i];

	return seed == 0 ? 1 : seed;
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545F4914F6CDD1DULL;
}

static void fill_page(uint64_t i)
{
	uint64_t state = seed_of(i);

	for (size_t w = 0; w < WORDS; w++)
		fill[i][w] = next(&state);
}

static void check_page(uint64_t i)
{
	uint64_t state = seed_of(i);

	for (size_t w = 0; w < WORDS; w++) {
		uint64_t expected = next(&state);

		if (fill[i][w] != expected) {
			complain("memory", expected, fill[i][w]);
			return;
		}
	}
	page->pages_checked++;
}

static void check_fill(bool all)
{
	uint64_t i;

	if (n_fill == 0)
		return;
	for (i = 0; all && i < n_fill; i++)
		check_page(i);
	i = page->count % n_fill;
	check_page(i);
	generation[i]++;
	fill_page(i);
}

static uint32_t checksum(const char *text, size_t len)
{
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ (unsigned char)text[i]) * 16777619u;
	return sum;
}

static void write_record(void)
{
	int len = snprintf(record, sizeof(record),
			   "count=%020" PRIu64 " run=%016" PRIx64 " boots=%06" PRIu64 " errors=%06" PRIu64, page->count,
			   page->run, page->boots, page->errors);

	record_len = (size_t)len + (size_t)snprintf(record + len, sizeof(record) - (size_t)len, " sum=%08" PRIx32 "\n",
						    checksum(record, (size_t)len));
	if (pwrite(disk_fd, record, record_len, 0) != (ssize_t)record_len)
		complain("write of the file", record_len, (uint64_t)errno);
}

static void check_record(void)
{
	char found[sizeof(record)] = "";
	ssize_t n = pread(disk_fd, found, sizeof(found) - 1, 0);
	uint64_t disk = 0;

	if (n == (ssize_t)record_len && memcmp(found, record, record_len) == 0)
		return;
	(void)sscanf(found, "count=%" SCNu64, &disk);
	complain(disk > page->count ? "disk ahead of memory" : "disk not as written", page->count, disk);
}

static void open_disk(const char *file)
{
	char old[sizeof(record)] = "";

	disk_fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (disk_fd < 0)
		die(file);
	if (pread(disk_fd, old, sizeof(old) - 1, 0) > 0)
		(void)sscanf(old, "count=%*u run=%*x boots=%" SCNu64, &page->boots);
	page->boots++;
	write_record();
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

static void make_fill(uint64_t mb)
{
	if (mb == 0)
		return;
	n_fill = mb * 1024 * 1024 / PAGE_SIZE;
	fill = mmap(NULL, n_fill * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	generation = calloc(n_fill, sizeof(*generation));
	if (fill == MAP_FAILED || !generation)
		die("memory");
	for (uint64_t i = 0; i < n_fill; i++)
		fill_page(i);
}

/* What a careless program does: its descriptor 1 is something else than what the runtime gave it. */
static void redirect_stdout(void)
{
	int other = open("/dev/zero", O_WRONLY);

	out_fd = fcntl(STDOUT_FILENO, F_DUPFD, 20);
	if (other < 0 || out_fd < 0 || dup2(other, STDOUT_FILENO) < 0)
		die("redirect");
	close(other);
}

static void usage(void)
{
	fputs("usage: counter [--file F] [--fill MB] [--every TICKS] [--exit-after TICKS] [--exit-code N]\n"
	      "               [--redirect] [--ignore-term]\n",
	      stderr);
	exit(98);
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{ "every", required_argument, NULL, 'e' },     { "exit-after", required_argument, NULL, 'a' },
		{ "exit-code", required_argument, NULL, 'c' }, { "file", required_argument, NULL, 'f' },
		{ "fill", required_argument, NULL, 'm' },      { "ignore-term", no_argument, NULL, 'i' },
		{ "redirect", no_argument, NULL, 'r' },	       { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'e':
			o->every = strtoull(optarg, NULL, 10);
			break;
		case 'a':
			o->exit_after = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			o->exit_code = atoi(optarg);
			break;
		case 'f':
			o->file = optarg;
			break;
		case 'm':
			o->fill_mb = strtoull(optarg, NULL, 10);
			break;
		case 'i':
			o->ignore_term = true;
			break;
		case 'r':
			o->redirect = true;
			break;
		default:
			usage();
		}
	}
	if (optind != argc || o->every == 0)
		usage();
}

static void tick(const struct options *o, uint64_t *last_us)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t t, gap;

	nanosleep(&ms, NULL);
	t = now_us();
	gap = t > *last_us ? t - *last_us : 0;
	*last_us = t;
	if (gap > page->longest_gap_us)
		page->longest_gap_us = gap;
	if (gap > GAP_US)
		page->gaps++;

	check_record();
	page->count++;
	write_record();
	check_fill(gap > GAP_US);
	if (gap > GAP_US)
		*last_us = now_us(); /* a look at all of it takes its time, which is no gap */
	if (page->count % o->every == 0) {
		page->lines++;
		say("line=%06" PRIu64 " count=%" PRIu64 "\n", page->lines, page->count);
	}
}

int main(int argc, char **argv)
{
	struct options o = { .file = "/count", .every = 100 };
	struct sigaction act = { .sa_handler = on_term };
	uint64_t last_us;

	parse(argc, argv, &o);
	if (o.ignore_term)
		act.sa_handler = SIG_IGN;
	sigaction(SIGTERM, &act, NULL);
	make_page();
	make_fill(o.fill_mb);
	if (o.redirect)
		redirect_stdout();
	open_disk(o.file);
	memcpy(page->magic, "STASISC1", sizeof(page->magic));
	say("begin run=%016" PRIx64 " boots=%" PRIu64 " fill=%" PRIu64 "\n", page->run, page->boots, o.fill_mb);
	last_us = now_us();
	while (!has_to_end && (o.exit_after == 0 || page->count < o.exit_after))
		tick(&o, &last_us);
	say("end count=%" PRIu64 " errors=%" PRIu64 "\n", page->count, page->errors);
	return page->errors ? 97 : o.exit_code;
}
