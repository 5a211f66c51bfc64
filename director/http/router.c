#include "director/http/router.h"

#include <errno.h>
#include <stdlib.h>

enum { METHODS = HTTP_M_OTHER + 1 };

/* Nodes are numbered; 0 is the root, which is nobody's child, so that 0 also means none. */
struct node {
	struct slice segment;
	unsigned next;  /* the next exact child of the same parent */
	unsigned child; /* the first exact child */
	unsigned param; /* the child of `{name}` */
	const struct http_route *routes[METHODS];
	unsigned allowed;
};

struct router {
	struct node *nodes;
	unsigned n_nodes;
};

static const char *const method_names[METHODS] = {
	[HTTP_M_GET] = "GET",
	[HTTP_M_HEAD] = "HEAD",
	[HTTP_M_POST] = "POST",
	[HTTP_M_PUT] = "PUT",
	[HTTP_M_PATCH] = "PATCH",
	[HTTP_M_DELETE] = "DELETE",
	[HTTP_M_OPTIONS] = "OPTIONS",
	[HTTP_M_OTHER] = NULL,
};

void router_allow(unsigned allowed, char ret[static 64])
{
	size_t n = 0;
	for (int m = 0; m < HTTP_M_OTHER; m++) {
		if ((allowed & (1U << m)) == 0) {
			continue;
		}
		struct slice name = slice_str(method_names[m]);
		if (n > 0) {
			memcpy(ret + n, ", ", 2);
			n += 2;
		}
		memcpy(ret + n, name.p, name.n);
		n += name.n;
	}
	ret[n] = '\0';
}

/* Cuts a path (after its first '/') into segments. @return their number, or -1 for too many. */
static int split(struct slice path, struct slice segments[static HTTP_SEGMENTS_MAX])
{
	int n = 0;
	struct slice rest = slice_skip(path, 1);
	if (rest.n == 0) {
		return 0;
	}
	for (;;) {
		const uint8_t *slash = rest.n > 0 ? memchr(rest.p, '/', rest.n) : NULL;
		size_t length = slash == NULL ? rest.n : (size_t)(slash - rest.p);
		if (n == HTTP_SEGMENTS_MAX) {
			return -1;
		}
		segments[n++] = slice_of(rest.p, length);
		if (slash == NULL) {
			return n;
		}
		rest = slice_skip(rest, length + 1);
	}
}

static bool is_param(struct slice segment)
{
	return segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}' &&
		slice_is_name(slice_of(segment.p + 1, segment.n - 2), 32);
}

static unsigned find_child(const struct router *r, unsigned parent, struct slice segment)
{
	unsigned i = r->nodes[parent].child;
	while (i != 0 && !slice_eq(r->nodes[i].segment, segment)) {
		i = r->nodes[i].next;
	}
	return i;
}

/* The child for a pattern's segment, made when it is not there. 0 for a bad segment. */
static unsigned get_child(struct router *r, unsigned parent, struct slice segment)
{
	bool param = is_param(segment);
	unsigned i = param ? r->nodes[parent].param : find_child(r, parent, segment);
	if (i != 0) {
		return i;
	}
	if (!param && !slice_is_name(segment, 64)) {
		return 0;
	}
	i = r->n_nodes++;
	r->nodes[i].segment = segment;
	if (param) {
		r->nodes[parent].param = i;
	} else {
		r->nodes[i].next = r->nodes[parent].child;
		r->nodes[parent].child = i;
	}
	return i;
}

static int add_route(struct router *r, const struct http_route *route)
{
	struct slice pattern = slice_str(route->pattern);
	struct slice segments[HTTP_SEGMENTS_MAX];
	if (pattern.n == 0 || pattern.p[0] != '/' || route->handler == NULL ||
		route->handler->on_body == NULL || (unsigned)route->method >= HTTP_M_OTHER) {
		return -EINVAL;
	}
	int n = split(pattern, segments);
	unsigned node = 0;
	unsigned params = 0;
	for (int i = 0; i < n; i++) {
		node = get_child(r, node, segments[i]);
		params += is_param(segments[i]) ? 1 : 0;
		if (node == 0) {
			return -EINVAL;
		}
	}
	if (n < 0 || params > HTTP_PARAMS_MAX || r->nodes[node].routes[route->method] != NULL) {
		return -EINVAL;
	}
	r->nodes[node].routes[route->method] = route;
	r->nodes[node].allowed |= 1U << route->method;
	return 0;
}

/* HEAD is answered by GET where it has no route of its own; OPTIONS by the server itself. */
static void complete_methods(struct node *node)
{
	if (node->routes[HTTP_M_HEAD] == NULL) {
		node->routes[HTTP_M_HEAD] = node->routes[HTTP_M_GET];
	}
	if (node->routes[HTTP_M_GET] != NULL) {
		node->allowed |= 1U << HTTP_M_HEAD;
	}
	if (node->allowed != 0) {
		node->allowed |= 1U << HTTP_M_OPTIONS;
	}
}

int router_new(struct router **ret, const struct http_route *routes, size_t n_routes)
{
	size_t room = 1;
	for (size_t i = 0; i < n_routes; i++) {
		for (const char *c = routes[i].pattern; *c != '\0'; c++) {
			room += *c == '/' ? 1 : 0;
		}
	}
	struct router *r = calloc(1, sizeof(*r));
	struct node *nodes = calloc(room, sizeof(*nodes));
	if (r == NULL || nodes == NULL) {
		free(r);
		free(nodes);
		return -ENOMEM;
	}
	r->nodes = nodes;
	r->n_nodes = 1;
	for (size_t i = 0; i < n_routes; i++) {
		int e = add_route(r, &routes[i]);
		if (e < 0) {
			(void)router_free(r);
			return e;
		}
	}
	for (unsigned i = 0; i < r->n_nodes; i++) {
		complete_methods(&r->nodes[i]);
	}
	*ret = r;
	return 0;
}

struct router *router_free(struct router *r)
{
	if (r != NULL) {
		free(r->nodes);
		free(r);
	}
	return NULL;
}

enum route_verdict router_match(
	const struct router *r, enum http_method method, struct slice path, struct route_match *ret)
{
	/* The way from the root; tried: 0 nothing, 1 the exact child, 2 the parameter as well. */
	struct {
		unsigned node;
		int tried;
	} way[HTTP_SEGMENTS_MAX + 1] = { 0 };
	struct slice segments[HTTP_SEGMENTS_MAX];
	int n = split(path, segments);
	int depth = 0;
	*ret = (struct route_match){ 0 };
	while (n >= 0 && depth >= 0) {
		const struct node *node = &r->nodes[way[depth].node];
		if (depth == n) {
			if (node->routes[method] != NULL) {
				ret->route = node->routes[method];
				break;
			}
			ret->allowed |= node->allowed;
			depth--;
			continue;
		}
		unsigned child = 0;
		if (way[depth].tried == 0) {
			child = find_child(r, way[depth].node, segments[depth]);
		} else if (way[depth].tried == 1 && segments[depth].n > 0) {
			child = node->param;
		}
		if (way[depth].tried++ >= 2) {
			depth--;
		} else if (child != 0) {
			depth++;
			way[depth].node = child;
			way[depth].tried = 0;
		}
	}
	if (ret->route == NULL) {
		return ret->allowed != 0 ? ROUTE_METHOD : ROUTE_UNKNOWN;
	}
	for (int i = 0; i < n; i++) {
		if (way[i].tried == 2) {
			ret->params[ret->n_params++] = segments[i];
		}
	}
	return ROUTE_FOUND;
}

static bool refuse(struct http_refusal *refusal, const char *reason)
{
	*refusal = (struct http_refusal){ .status = 400, .reason = reason };
	return false;
}

bool path_is_plain(struct slice path)
{
	return memchr(path.p, '%', path.n) == NULL;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (uint8_t)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of "%xy" at the front of `s`, or -1. */
static int escaped_byte(struct slice s)
{
	int high = s.n >= 3 ? hex_value(s.p[1]) : -1;
	int low = s.n >= 3 ? hex_value(s.p[2]) : -1;
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Bytes that stand for themselves in a path (RFC 3986, section 3.3), and the slash. */
static bool is_path_byte(uint8_t c)
{
	static const bool path_bytes[256] = {
		['0' ... '9'] = true,
		['A' ... 'Z'] = true,
		['a' ... 'z'] = true,
		['-'] = true,
		['.'] = true,
		['_'] = true,
		['~'] = true,
		['!'] = true,
		['$'] = true,
		['&'] = true,
		['\''] = true,
		['('] = true,
		[')'] = true,
		['*'] = true,
		['+'] = true,
		[','] = true,
		[';'] = true,
		['='] = true,
		[':'] = true,
		['@'] = true,
		['/'] = true,
	};
	return path_bytes[c];
}

static bool has_dot_segment(struct slice path)
{
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] != '/') {
			continue;
		}
		size_t dots = 0;
		while (i + 1 + dots < path.n && path.p[i + 1 + dots] == '.') {
			dots++;
		}
		bool ends = i + 1 + dots == path.n || path.p[i + 1 + dots] == '/';
		if (ends && (dots == 1 || dots == 2)) {
			return true;
		}
	}
	return false;
}

bool path_decode(struct slice path,
	uint8_t *decoded,
	struct slice *ret_path,
	struct http_refusal *ret_refusal)
{
	size_t n = 0;
	for (size_t i = 0; i < path.n; i++) {
		uint8_t c = path.p[i];
		if (c == '%' && decoded != NULL) {
			int byte = escaped_byte(slice_skip(path, i));
			if (byte < 0) {
				return refuse(ret_refusal, "malformed escape in the path");
			}
			if (byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\') {
				return refuse(ret_refusal, "forbidden escape in the path");
			}
			c = (uint8_t)byte;
			i += 2;
		} else if (!is_path_byte(c)) {
			return refuse(ret_refusal, "forbidden byte in the path");
		}
		if (decoded != NULL) {
			decoded[n] = c;
		}
		n++;
	}
	struct slice result = decoded != NULL ? slice_of(decoded, n) : path;
	/* Without an escape all of it is ASCII. */
	if (decoded != NULL && !slice_is_utf8(result)) {
		return refuse(ret_refusal, "the path is not valid UTF-8");
	}
	if (has_dot_segment(result)) {
		return refuse(ret_refusal, "the path has a . or .. segment");
	}
	*ret_path = result;
	return true;
}
