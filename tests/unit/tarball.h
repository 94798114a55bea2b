/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * tarball.h - tars made by hand, byte by byte, so that a test can say what no decent program would write
 *
 * tarball_add(&sb, (struct tarball_member){ .name = "a", .data = "x" }) adds to a strbuf; tarball_end() closes it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "test.h"

struct tarball_member {
	const char *name;
	char type;	  /* 0: '0', a file */
	const char *link; /* target */
	unsigned mode;	  /* 0: 0644 */
	unsigned uid, gid;
	const char *data; /* NULL: none */
	size_t len;	  /* 0: strlen(data) */
	const char *size; /* raw text instead of the data's length */
	unsigned long long mtime;
};

static inline void tarball_pad(struct strbuf *sb)
{
	static const char zeros[512];

	if (sb->len % 512)
		strbuf_add(sb, zeros, 512 - sb->len % 512);
}

static inline void tarball_add(struct strbuf *sb, struct tarball_member m)
{
	char h[513] = { 0 };
	unsigned long long len = m.data && !m.len ? strlen(m.data) : m.len;
	unsigned sum = 0;

	memcpy(h, m.name, strnlen(m.name, 100));
	(void)snprintf(h + 100, 8, "%07o", (m.mode ? m.mode : 0644) & 07777777);
	(void)snprintf(h + 108, 8, "%07o", m.uid & 07777777);
	(void)snprintf(h + 116, 8, "%07o", m.gid & 07777777);
	(void)snprintf(h + 124, 12, "%011llo", len & 077777777777ULL);
	if (m.size)
		memcpy(h + 124, m.size, 12);
	(void)snprintf(h + 136, 12, "%011llo", m.mtime & 077777777777ULL);
	memset(h + 148, ' ', 8);
	h[156] = m.type ? m.type : '0';
	if (m.link)
		memcpy(h + 157, m.link, strnlen(m.link, 100));
	memcpy(h + 257, "ustar\00000", 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 8, "%06o", sum & 0777777);
	strbuf_add(sb, h, 512);
	if (m.data)
		strbuf_add(sb, m.data, len);
	tarball_pad(sb);
}

/* One record of a pax header: "LEN key=value\n", where LEN counts itself. */
static inline void tarball_record(struct strbuf *pax, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, total = rest + 1;
	char digits[24];

	while (total != rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total))
		total = rest + strlen(digits);
	strbuf_addf(pax, "%s %s=", digits, key);
	strbuf_add(pax, value, len);
	strbuf_addc(pax, '\n');
}

static inline void tarball_pax(struct strbuf *sb, const struct strbuf *pax)
{
	tarball_add(sb, (struct tarball_member){ .name = "pax", .type = 'x', .data = pax->s, .len = pax->len });
}

static inline void tarball_pax1(struct strbuf *sb, const char *key, const char *value)
{
	AUTO(strbuf_done) struct strbuf pax = STRBUF_INIT;

	tarball_record(&pax, key, value, strlen(value));
	tarball_pax(sb, &pax);
}

static inline void tarball_end(struct strbuf *sb)
{
	static const char zeros[1024];

	strbuf_add(sb, zeros, sizeof(zeros));
}

/* A file in memory with these bytes, at its beginning. */
static inline int tarball_fd(const void *p, size_t len)
{
	int fd = memfd_create("tarball", MFD_CLOEXEC);

	CHECK(fd >= 0 && file_write_all(fd, p, len, NULL) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static inline int tarball_open(struct strbuf *sb)
{
	tarball_end(sb);
	return tarball_fd(sb->s, sb->len);
}

/* What "PROGRAM -c" makes of these bytes: a new file in memory, or -1 if there is no such program. */
static inline int tarball_packed(const char *program, int fd)
{
	char *argv[] = { (char *)program, (char *)"-c", NULL };
	autoclose int out = memfd_create("packed", MFD_CLOEXEC);
	struct proc_fd fds[] = { { fd, 0 }, { out, 1 } };
	struct proc_spec spec = { .argv = argv, .fds = fds, .n_fds = 2 };
	AUTO(proc_done) struct proc p = PROC_NONE;
	int status = -1;

	if (lseek(fd, 0, SEEK_SET) < 0 || proc_start(&p, &spec, NULL) < 0)
		return -1;
	CHECK_INT(proc_wait(&p, 60 * US_PER_S, &status, NULL), 1);
	CHECK_INT(status, 0);
	CHECK(lseek(out, 0, SEEK_SET) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	return TAKE_FD(out);
}
