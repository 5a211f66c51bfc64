/* GET /api/plugins and its older name, /api/available-plugins. */
#include "director/api/api.h"
#include "director/director.h"
#include "director/execute/execute.h"

enum { LIST_MAX = 8 * 1024 * 1024 };

static bool on_head(void *owner, struct http_request *r)
{
	struct user_context *user = execute_authenticate(owner, r);
	bool known = user != NULL;
	(void)user_context_unref(user);
	return known;
}

static void on_body(void *owner, struct http_request *r, struct slice body)
{
	const struct director *d = owner;
	struct buffer b;
	buffer_init(&b, LIST_MAX);
	if (registry_append_json(&d->registry, REGISTRY_API, &b) < 0) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this answer now");
	} else {
		http_respond_tagged(r, &(struct http_response){ .body = { buffer_slice(&b) } });
	}
	buffer_deinit(&b);
}

const struct http_handler plugins_list = { .on_head = on_head, .on_body = on_body };
