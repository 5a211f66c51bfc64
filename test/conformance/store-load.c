/*
 * A store behind a pipe, for tests that break its server meanwhile.
 *
 *     store-load URI APP
 *
 * Commands are lines on standard input, any number of them at work at once; each is answered by a line
 * "TAG CODE MS [REST]" when its answer is there, MS being how long it took:
 *
 *     TAG insert USER ID     {_id: ID, n: 0}
 *     TAG inc USER ID        {$inc: {n: 1}} of it
 *     TAG upsert USER ID     the same as an upsert
 *     TAG all                REST: "ID:n …" of every document of every user, in order
 *     TAG ready              CODE: yes or no
 *
 * At the end of the input the store is closed, and "closed MS" is the last line.
 */
#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/store/query/document.h"
#include "director/store/store.h"

#include <stdio.h>
#include <uv.h>

enum { LINE_MAX_BYTES = 256 };

/* A command at work. */
struct request {
	char tag[32];
	uint64_t since_ms;
};

struct load {
	uv_loop_t loop;
	uv_pipe_t input;
	struct store *store;
	struct slice app;
	struct buffer line;
	uint64_t closing_since;
};

static struct load load;

static void on_input_closed(uv_handle_t *handle)
{
}

static void on_closed(void *arg)
{
	(void)printf("closed %llu\n", (unsigned long long)(clock_ms() - load.closing_since));
	(void)fflush(stdout);
}

static void close_store(void)
{
	load.closing_since = clock_ms();
	uv_close((uv_handle_t *)&load.input, on_input_closed);
	store_close(load.store, on_closed, NULL);
}

/* --- answers --- */

static void print_documents(struct slice row)
{
	struct slice d;
	while (document_take(&row, &d)) {
		struct value id = document_find(d, SLICE("_id"));
		struct value n = document_find(d, SLICE("n"));
		(void)printf(" %d:%d", id.type == BT_INT32 ? value_int32(id) : -1,
			n.type == BT_INT32 ? value_int32(n) : -1);
	}
}

static void on_done(void *owner, const struct store_result *result)
{
	struct request *r = (struct request *)owner;
	(void)printf("%s %s %llu", r->tag, store_error_code(result->error),
		(unsigned long long)(clock_ms() - r->since_ms));
	print_documents(result->documents);
	(void)printf("\n");
	(void)fflush(stdout);
	free(r);
}

/* --- commands --- */

static struct slice document(struct document_writer *w, const char *operator, int n)
{
	writer_init(w, 1024);
	size_t start = writer_open(w);
	if (operator== NULL) {
		writer_int32(w, SLICE("_id"), n);
		writer_int32(w, SLICE("n"), 0);
	} else {
		size_t inner = writer_open_in(w, BT_OBJECT, slice_str(operator));
		writer_int32(w, SLICE("n"), n);
		writer_close(w, inner);
	}
	writer_close(w, start);
	return buffer_slice(&w->b);
}

static struct slice by_id(struct document_writer *w, int id)
{
	writer_init(w, 1024);
	size_t start = writer_open(w);
	writer_int32(w, SLICE("_id"), id);
	writer_close(w, start);
	return buffer_slice(&w->b);
}

static void submit(
	const char *tag, const struct store_scope *scope, const struct store_command *command)
{
	struct request *r = calloc(1, sizeof(*r));
	invariant(r != NULL);
	(void)snprintf(r->tag, sizeof(r->tag), "%s", tag);
	r->since_ms = clock_ms();
	invariant(store_submit(load.store, scope, command, on_done, r) == 0);
}

static void run_all(const char *tag)
{
	struct document_writer w;
	struct store_scope scope = { STORE_SCOPE_SHARED, load.app, SLICE("p"), SLICE_NULL };
	struct store_command c = { .op = STORE_FIND, .collection = SLICE("load") };
	writer_init(&w, 1024);
	size_t start = writer_open(&w);
	writer_int32(&w, SLICE("_id"), 1);
	writer_close(&w, start);
	c.sort = buffer_slice(&w.b);
	submit(tag, &scope, &c);
	writer_deinit(&w);
}

static void run_change(const char *tag, const char *verb, const char *user, int id)
{
	struct document_writer first;
	struct document_writer second;
	struct store_scope scope = { STORE_SCOPE_USER, load.app, SLICE("p"), slice_str(user) };
	struct store_command c = { .op = STORE_UPDATE, .collection = SLICE("load") };
	writer_init(&second, 0);
	if (strcmp(verb, "insert") == 0) {
		c.op = STORE_INSERT;
		c.ordered = true;
		c.documents = document(&first, NULL, id);
	} else {
		c.upsert = strcmp(verb, "upsert") == 0;
		c.filter = by_id(&first, id);
		c.update = document(&second, "$inc", 1);
	}
	submit(tag, &scope, &c);
	writer_deinit(&first);
	writer_deinit(&second);
}

static void run_line(const char *line)
{
	char tag[32] = "";
	char verb[32] = "";
	char user[32] = "";
	int id = 0;
	int n = sscanf(line, "%31s %31s %31s %d", tag, verb, user, &id);
	if (n == 2 && strcmp(verb, "ready") == 0) {
		(void)printf("%s %s 0\n", tag, store_ready(load.store) ? "yes" : "no");
		(void)fflush(stdout);
	} else if (n == 2 && strcmp(verb, "all") == 0) {
		run_all(tag);
	} else {
		invariant(n == 4);
		run_change(tag, verb, user, id);
	}
}

/* --- input --- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	static char room[4096];
	*ret = uv_buf_init(room, sizeof(room));
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *room)
{
	if (n < 0) {
		close_store();
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (room->base[i] != '\n') {
			invariant(buffer_append_byte(&load.line, (uint8_t)room->base[i]) == 0);
			continue;
		}
		invariant(buffer_append_byte(&load.line, 0) == 0);
		run_line((const char *)load.line.p);
		buffer_clear(&load.line);
	}
}

int main(int argc, char **argv)
{
	struct store_config config;
	char why[256];
	if (argc != 3 || map_init() != 0 || uv_loop_init(&load.loop) != 0) {
		(void)fprintf(stderr, "usage: store-load URI APP\n");
		return 2;
	}
	log_init("store-load", LOG_INFO);
	load.app = slice_str(argv[2]);
	buffer_init(&load.line, LINE_MAX_BYTES);
	store_config_init(&config);
	config.loop = &load.loop;
	config.uri = argv[1];
	config.state_dir = "/nonexistent";
	if (store_open(&load.store, &config, why) != 0) {
		(void)fprintf(stderr, "store-load: %s\n", why);
		return 2;
	}
	invariant(uv_pipe_init(&load.loop, &load.input, 0) == 0);
	invariant(uv_pipe_open(&load.input, 0) == 0);
	invariant(uv_read_start((uv_stream_t *)&load.input, on_room, on_input) == 0);
	(void)uv_run(&load.loop, UV_RUN_DEFAULT);
	store_free(load.store);
	buffer_deinit(&load.line);
	return uv_loop_close(&load.loop) == 0 ? 0 : 1;
}
