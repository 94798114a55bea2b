/* SPDX-License-Identifier: Apache-2.0 */
/* busybox.c - the built-in image: a tar is written and then loaded like anybody's */
#include "image/busybox.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/scratch.h"

#define LIST_MAX     (64 << 10)
#define LIST_TIMEOUT (10 * US_PER_S)
#define COPY_CHUNK   (64 << 10)
#define WANTED	     "install the package busybox-static"

static int refuse(const char *path, const char *why, struct err *err)
{
	return err_set(err, -ENOENT, "the built-in image needs a static busybox, and %s %s: " WANTED, path, why);
}

/* Static means: no program header asks for a dynamic loader. */
static int check_static(int fd, const char *path, struct err *err)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	if (pread(fd, &eh, sizeof(eh), 0) != (ssize_t)sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		return refuse(path, "is no program", err);
	/* On 32 bits only the layout differs; there busybox itself has the last word when it is run. */
	if (eh.e_ident[EI_CLASS] != ELFCLASS64)
		return 0;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (pread(fd, &ph, sizeof(ph), (off_t)(eh.e_phoff + (uint64_t)i * eh.e_phentsize)) !=
		    (ssize_t)sizeof(ph))
			return refuse(path, "is damaged", err);
		if (ph.p_type == PT_INTERP)
			return refuse(path, "is dynamically linked", err);
	}
	return 0;
}

/* What `busybox ARG` prints, or with @arg NULL, `busybox` alone. */
static int ask(const char *path, const char *arg, struct strbuf *out, struct err *err)
{
	char *argv[] = { (char *)path, (char *)arg, NULL };
	struct proc_spec spec = { .argv = argv };

	return proc_run(&spec, LIST_TIMEOUT, out, LIST_MAX, /* ret_code= */ NULL, err);
}

/* Applets as "bin/ls", "usr/bin/awk"; sorted. */
static int list_applets(const char *path, char ***ret, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.[/+";
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	AUTO(strv_free) char **lines = NULL;
	AUTO(strv_free) char **applets = NULL;
	int r;

	r = ask(path, "--list-full", &out, err);
	if (r < 0)
		return err_wrap(err, r, "the built-in image");
	lines = strv_split(out.s, '\n');
	for (size_t i = 0; lines[i]; i++) {
		bool is_name = lines[i][strspn(lines[i], allowed)] == '\0';

		if (!is_name || str_eq(lines[i], "bin/busybox"))
			continue;
		if (str_after(lines[i], "bin/") || str_after(lines[i], "sbin/") || str_after(lines[i], "usr/bin/") ||
		    str_after(lines[i], "usr/sbin/"))
			strv_add(&applets, lines[i]);
	}
	strv_sort(applets);
	if (!strv_has(applets, "bin/sh"))
		return refuse(path, "has no shell", err);
	*ret = TAKE_PTR(applets);
	return 0;
}

/* "BusyBox v1.35.0 (Debian …) multi-call binary." */
static char *describe(const char *path)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	const char *version;

	if (ask(path, "--help", &out, NULL) < 0)
		return xstrdup("busybox (built in)");
	version = str_after(out.s, "BusyBox v");
	if (!version)
		return xstrdup("busybox (built in)");
	return xasprintf("busybox %.*s (built in)", (int)strspn(version, "0123456789."), version);
}

static int add_dir(struct archive_writer *wr, const char *name, mode_t mode, struct err *err)
{
	struct archive_item item = { .kind = ARCHIVE_KIND_DIR, .name = name, .mode = mode };

	return archive_writer_add(wr, &item, err);
}

static int add_text(struct archive_writer *wr, const char *name, const char *text, struct err *err)
{
	struct archive_item item = { .kind = ARCHIVE_KIND_FILE, .name = name, .mode = 0644, .size = strlen(text) };
	int r = archive_writer_add(wr, &item, err);

	return r < 0 ? r : archive_writer_data(wr, text, strlen(text), err);
}

static int add_link(struct archive_writer *wr, const char *name, const char *target, struct err *err)
{
	struct archive_item item = { .kind = ARCHIVE_KIND_SYMLINK, .name = name, .target = target, .mode = 0777 };

	return archive_writer_add(wr, &item, err);
}

static int add_program(struct archive_writer *wr, const char *name, int fd, struct err *err)
{
	struct archive_item item = { .kind = ARCHIVE_KIND_FILE, .name = name, .mode = 0755 };
	char buf[COPY_CHUNK];
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "busybox");
	item.size = (uint64_t)st.st_size;
	r = archive_writer_add(wr, &item, err);
	for (off_t at = 0; r == 0 && at < st.st_size;) {
		ssize_t n = pread(fd, buf, sizeof(buf), at);

		if (n <= 0)
			return n < 0 ? err_sys(err, "busybox") : err_set(err, -EIO, "busybox has become shorter");
		r = archive_writer_data(wr, buf, (size_t)n, err);
		at += n;
	}
	return r;
}

static int add_tree(struct archive_writer *wr, struct err *err)
{
	static const struct {
		const char *name;
		mode_t mode;
	} dirs[] = {
		{ "bin", 0755 },  { "dev", 0755 },     { "etc", 0755 },	     { "home", 0755 },	  { "mnt", 0755 },
		{ "proc", 0555 }, { "root", 0700 },    { "run", 0755 },	     { "sbin", 0755 },	  { "srv", 0755 },
		{ "sys", 0555 },  { "tmp", 01777 },    { "usr", 0755 },	     { "usr/bin", 0755 }, { "usr/sbin", 0755 },
		{ "var", 0755 },  { "var/log", 0755 }, { "var/tmp", 01777 },
	};
	static const char *const texts[][2] = {
		{ "etc/group", "root:x:0:\ntty:x:5:\nusers:x:100:\nnogroup:x:65534:\n" },
		{ "etc/passwd",
		  "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n" },
		{ "etc/shells", "/bin/sh\n" },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++)
		r = add_dir(wr, dirs[i].name, dirs[i].mode, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		r = add_text(wr, texts[i][0], texts[i][1], err);
	return r;
}

static int write_tar(int fd, int busybox_fd, char *const *applets, struct err *err)
{
	AUTO(archive_writer_free) struct archive_writer *wr = NULL;
	int r;

	r = archive_writer_open(fd, ARCHIVE_PACK_NONE, &wr, err);
	if (r == 0)
		r = add_tree(wr, err);
	if (r == 0)
		r = add_program(wr, "bin/busybox", busybox_fd, err);
	for (size_t i = 0; r == 0 && applets && applets[i]; i++)
		r = add_link(wr, applets[i], "/bin/busybox", err);
	return r < 0 ? r : archive_writer_finish(wr, err);
}

int busybox_load(const struct load_request *rq, const char *busybox, struct loaded **ret, char **ret_description,
		 struct err *err)
{
	autoclose int busybox_fd = open(busybox, O_RDONLY | O_CLOEXEC), tar_fd = -1;
	AUTO(scratch_done) struct scratch scratch = { 0 };
	AUTO(strv_free) char **applets = NULL;
	autofree char *tar = NULL;
	int r;

	if (busybox_fd < 0)
		return refuse(busybox, "is missing", err);
	r = check_static(busybox_fd, busybox, err);
	if (r == 0)
		r = list_applets(busybox, &applets, err);
	if (r == 0)
		r = scratch_make(&scratch, rq->state_dir, err);
	if (r < 0)
		return r;
	tar = path_join(scratch.path, "busybox.tar");
	tar_fd = open(tar, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (tar_fd < 0)
		return err_sys(err, "%s", tar);
	r = write_tar(tar_fd, busybox_fd, applets, err);
	if (r == 0)
		r = load_rootfs(rq, tar_fd, /* process= */ NULL, ret, err);
	if (r < 0)
		return r;
	*ret_description = describe(busybox);
	return 0;
}
