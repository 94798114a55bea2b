/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/ws.h"
#include "cli/handshake.h"
#include "cli/text.h"

#define ANSWER_MAX (64 << 20) /* 100,000 instances with all their configuration */

struct client {
	char *socket;
	CURL *curl;
};

/* What one transfer works on. Bytes of a 2xx answer go to the sink if there is one, all others to the text. */
struct transfer {
	struct client *c;
	struct strbuf text;
	int (*sink)(void *arg, const char *data, size_t n);
	int (*begin)(void *arg, const char *operation);
	int (*sent)(void *arg, uint64_t n);
	void *arg;
	char *operation; /* that writes what we read */
	int sink_result; /* of any of the call-backs */
	int upload_fd;
	uint64_t n_sent;
};

void client_global_init(void)
{
	(void)curl_global_init(CURL_GLOBAL_NOTHING); /* no TLS on a unix socket: its tables cost half a millisecond */
}

int client_new(const char *socket, struct client **ret, struct err *err)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->socket = xstrdup(socket);
	c->curl = curl_easy_init();
	if (!c->curl) {
		client_free(c);
		return err_set(err, -ENOMEM, "libcurl does not start");
	}
	*ret = c;
	return 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	if (c->curl)
		curl_easy_cleanup(c->curl);
	free(c->socket);
	free(c);
}

const char *client_socket(const struct client *c)
{
	return c->socket;
}

static void add_escaped(struct strbuf *sb, const char *part)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *part; part++) {
		if (strchr(plain, *part))
			strbuf_addc(sb, *part);
		else
			strbuf_addf(sb, "%%%02X", (unsigned char)*part);
	}
}

char *client_path(const char *first, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	strbuf_adds(&sb, "/1.0");
	va_start(ap, first);
	for (const char *part = first; part; part = va_arg(ap, const char *)) {
		strbuf_addc(&sb, '/');
		add_escaped(&sb, part);
	}
	va_end(ap);
	return strbuf_take(&sb);
}

static int unreachable(const struct client *c, CURLcode code, struct err *err)
{
	long os_errno = 0;

	if (strlen(c->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(err, CLIENT_EUNREACHABLE, "'%s' is too long for a unix socket (107 bytes)", c->socket);
	if (code != CURLE_COULDNT_CONNECT)
		return err_set(
			err, CLIENT_EUNREACHABLE,
			"the daemon went away in the middle of a request (%s); what it had begun, it finishes or "
			"takes back when it starts again",
			curl_easy_strerror(code));
	(void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os_errno);
	if (os_errno == EACCES || os_errno == EPERM)
		return err_set(err, CLIENT_EUNREACHABLE,
			       "you may not use '%s': become root, or a member of the group stasis "
			       "('usermod -aG stasis USER' as root, then log in again)",
			       c->socket);
	return err_set(err, CLIENT_EUNREACHABLE,
		       "no daemon answers at '%s': start it with %s, or name the socket of a running one with --socket "
		       "or STASIS_SOCKET",
		       c->socket,
		       access("/run/systemd/system", F_OK) == 0 ? "'systemctl start stasisd'" : "'stasisd' as root");
}

static long http_status(const struct client *c)
{
	long status = 0;

	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	if (t->sink && http_status(t->c) < 300) {
		t->sink_result = t->sink(t->arg, data, size * n);
		return t->sink_result < 0 ? 0 : size * n;
	}
	if (t->text.len + size * n > ANSWER_MAX)
		return 0;
	strbuf_add(&t->text, data, size * n);
	return size * n;
}

static size_t on_upload(char *buf, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	ssize_t got;

	do
		got = read(t->upload_fd, buf, size * n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return CURL_READFUNC_ABORT;
	t->n_sent += (uint64_t)got;
	t->sink_result = t->sent ? t->sent(t->arg, t->n_sent) : 0;
	return t->sink_result < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	static const char name[] = "X-Stasis-operation:";
	struct transfer *t = arg;
	size_t len = size * n;

	if (len <= strlen(name) || strncasecmp(data, name, strlen(name)) != 0 || t->operation)
		return len;
	data += strlen(name) + strspn(data + strlen(name), " ");
	t->operation = xstrndup(data, strcspn(data, "\r\n"));
	t->sink_result = t->begin(t->arg, t->operation);
	return t->sink_result < 0 ? 0 : len;
}

static void prepare(struct transfer *t, const char *method, const char *path)
{
	CURL *curl = t->c->curl;
	autofree char *url = xasprintf("http://stasis%s", path);

	curl_easy_reset(curl); /* keeps the connection */
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, t->c->socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* http_proxy is not meant for a unix socket */
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "stasis/" STASIS_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
}

static int errno_of(long status)
{
	static const struct {
		long status;
		int code;
	} rows[] = { { 400, -EINVAL }, { 403, -EPERM }, { 404, -ENOENT },    { 409, -EBUSY },
		     { 412, -ESTALE }, { 413, -EFBIG }, { 504, -ETIMEDOUT }, { 507, -ENOSPC } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].status == status)
			return rows[i].code;
	return -EIO;
}

/* An answer's text to its envelope, or to the error that it carries. */
static int understand(const struct client *c, long status, const struct strbuf *text, struct json **ret,
		      struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	const char *words;

	if (json_parse(text->s, text->len, &root, NULL) < 0)
		return err_set(err, -EPROTO, "what answers at '%s' does not speak stasis (HTTP status %ld, no JSON)",
			       c->socket, status);
	if (status >= 400 || str_eq(json_get_str(root, "type"), "error")) {
		autofree char *shown = NULL;

		words = json_get_str(root, "error");
		shown = text_safe_lines(words && *words ? words : "the daemon refuses without saying why");
		return err_set(err, errno_of(status), "%s", shown);
	}
	if (ret)
		*ret = TAKE_PTR(root);
	return 0;
}

static int perform(struct transfer *t, struct json **ret, struct err *err)
{
	CURLcode code = curl_easy_perform(t->c->curl);

	if (t->sink_result < 0)
		return t->sink_result;
	if (code == CURLE_WRITE_ERROR)
		return err_set(err, -EFBIG, "the daemon's answer is larger than %d MiB", ANSWER_MAX >> 20);
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return err_set(err, -EIO, "cannot read what is to be sent");
	if (code != CURLE_OK)
		return unreachable(t->c, code, err);
	if (t->sink && http_status(t->c) < 300)
		return 0;
	return understand(t->c, http_status(t->c), &t->text, ret, err);
}

int client_call(struct client *c, const char *method, const char *path, const struct json *body, struct json **ret,
		struct err *err)
{
	struct transfer t = { .c = c, .text = STRBUF_INIT };
	autofree char *text = body ? json_print(body, JSON_COMPACT) : NULL;
	struct curl_slist *headers = NULL;
	int r;

	prepare(&t, method, path);
	if (body || !str_eq(method, "GET")) {
		headers = curl_slist_append(headers, "Content-Type: application/json");
		headers = curl_slist_append(headers, "Expect:");
		curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, text ? text : "");
		curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
	}
	r = perform(&t, ret, err);
	curl_slist_free_all(headers);
	strbuf_done(&t.text);
	return r;
}

int client_get(struct client *c, const char *path, struct json **ret_root, const struct json **ret_metadata,
	       struct err *err)
{
	int r = client_call(c, "GET", path, NULL, ret_root, err);

	if (r < 0)
		return r;
	*ret_metadata = json_get(*ret_root, "metadata");
	return 0;
}

int client_read(struct client *c, const char *path, int (*sink)(void *arg, const char *data, size_t n), void *arg,
		struct err *err)
{
	struct transfer t = { .c = c, .text = STRBUF_INIT, .sink = sink, .arg = arg };
	int r;

	prepare(&t, "GET", path);
	r = perform(&t, NULL, err);
	strbuf_done(&t.text);
	return r;
}

/* Whether it was cut by us or by the daemon: the operation knows why. */
static int explain_cut(struct transfer *t, int r, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *metadata = NULL;
	struct err why = ERR_INIT;
	int of_operation = client_wait(t->c, t->operation, &root, &metadata, &why);

	if (of_operation != -EIO && of_operation != -ECANCELED)
		return r; /* it had ended well, or nobody can say */
	*err = why;
	return of_operation;
}

int client_produce(struct client *c, const char *path, int (*begin)(void *arg, const char *operation),
		   int (*sink)(void *arg, const char *data, size_t n), void *arg, struct err *err)
{
	struct transfer t = { .c = c, .text = STRBUF_INIT, .sink = sink, .begin = begin, .arg = arg };
	int r;

	prepare(&t, "GET", path);
	curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, &t);
	r = perform(&t, NULL, err);
	if (r < 0 && t.operation && t.sink_result >= 0)
		r = explain_cut(&t, r, err);
	strbuf_done(&t.text);
	free(t.operation);
	return r;
}

int client_upload(struct client *c, const char *path, int fd, char *const *more, int (*sent)(void *arg, uint64_t n),
		  void *arg, struct json **ret, struct err *err)
{
	struct transfer t = { .c = c, .text = STRBUF_INIT, .upload_fd = fd, .sent = sent, .arg = arg };
	struct curl_slist *headers = NULL;
	int r;

	prepare(&t, "POST", path);
	headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
	headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
	headers = curl_slist_append(headers, "Expect:");
	for (char *const *h = more; h && *h; h++)
		headers = curl_slist_append(headers, *h);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, on_upload);
	curl_easy_setopt(c->curl, CURLOPT_READDATA, &t);
	r = perform(&t, ret, err);
	curl_slist_free_all(headers);
	strbuf_done(&t.text);
	return r;
}

int client_wait(struct client *c, const char *operation, struct json **ret_root, const struct json **ret_metadata,
		struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *path = xasprintf("%s/wait?timeout=-1", operation);
	const struct json *op = NULL;
	const char *words;
	int64_t status;
	int r;

	for (;;) {
		json_free(TAKE_PTR(root));
		r = client_get(c, path, &root, &op, err);
		if (r < 0)
			return r;
		status = json_get_int(op, "status_code", 400);
		if (status >= 200)
			break;
		clock_sleep_us(100 * US_PER_MS); /* a daemon that is asked to end lets its waiters go early */
	}

	if (status != 200) {
		autofree char *shown = NULL;

		words = json_get_str(op, "err");
		shown = text_safe_lines(words && *words ? words : status == 401 ? "cancelled" : "it failed");
		return err_set(err, status == 401 ? -ECANCELED : -EIO, "%s", shown);
	}
	*ret_metadata = json_get(op, "metadata");
	*ret_root = TAKE_PTR(root);
	return 0;
}

int client_websocket(struct client *c, const char *path, struct ws **ret, struct err *err)
{
	struct transfer t = { .c = c, .text = STRBUF_INIT };
	curl_socket_t curl_fd = CURL_SOCKET_BAD;
	AUTO(strbuf_done) struct strbuf refusal = STRBUF_INIT;
	autoclose int fd = -1;
	CURLcode code;
	int status;

	/* A handle of its own: the connection leaves HTTP for good. */
	AUTO(client_free) struct client *own = NULL;
	int r = client_new(c->socket, &own, err);
	if (!own)
		return r;
	t.c = own;
	prepare(&t, "GET", path);
	curl_easy_setopt(own->curl, CURLOPT_CONNECT_ONLY, 1L);
	code = curl_easy_perform(own->curl);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(own->curl, CURLINFO_ACTIVESOCKET, &curl_fd);
	if (code != CURLE_OK || curl_fd == CURL_SOCKET_BAD)
		return unreachable(own, code, err);

	/* curl closes its descriptor with the handle; the copy keeps the connection. */
	fd = fcntl(curl_fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0)
		return err_sys(err, "websocket");
	status = handshake(fd, path, &refusal, err);
	if (status < 0)
		return status;
	if (status != 101)
		return understand(c, status, &refusal, NULL, err);
	*ret = ws_new(TAKE_FD(fd), /* is_client= */ true);
	return 0;
}
