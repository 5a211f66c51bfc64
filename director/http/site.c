#include "director/http/site.h"

#include "director/http/guard.h"

static bool is_host_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '.' ||
		c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
}

static bool is_host(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_host_byte(s.p[i])) {
			return false;
		}
	}
	return s.n > 0;
}

/* The name without its port; a v6 address keeps its brackets. */
static struct slice without_port(struct slice authority)
{
	for (size_t i = authority.n; i > 0; i--) {
		uint8_t c = authority.p[i - 1];
		if (c == ':') {
			return slice_of(authority.p, i - 1);
		}
		if (c == ']') {
			break;
		}
	}
	return authority;
}

static bool is_host_entry(struct slice s)
{
	if (slice_eq(s, SLICE("*"))) {
		return true;
	}
	if (slice_starts(s, SLICE("*."))) {
		s = slice_skip(s, 2);
	}
	return is_host(s) && without_port(s).n == s.n;
}

/* As browsers write it: lower case, no path, no default port is their business. */
static bool is_origin_entry(struct slice s)
{
	size_t scheme = slice_starts(s, SLICE("https://")) ? 8
		: slice_starts(s, SLICE("http://"))        ? 7
							   : 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] >= 'A' && s.p[i] <= 'Z') {
			return false;
		}
	}
	return scheme > 0 && is_host(slice_skip(s, scheme));
}

static struct slice trimmed(struct slice s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s = slice_skip(s, 1);
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
		s.n--;
	}
	return s;
}

static bool add_list(struct site_list *to,
	struct slice list,
	bool (*is_entry)(struct slice s),
	struct slice *ret_bad)
{
	while (list.n > 0) {
		const uint8_t *comma = memchr(list.p, ',', list.n);
		size_t n = comma == NULL ? list.n : (size_t)(comma - list.p);
		struct slice entry = trimmed(slice_of(list.p, n));
		list = slice_skip(list, comma == NULL ? n : n + 1);
		if (entry.n == 0) {
			continue;
		}
		if (to->n == SITE_ENTRIES_MAX || entry.n > SITE_ENTRY_BYTES_MAX ||
			!is_entry(entry)) {
			*ret_bad = entry;
			return false;
		}
		to->entries[to->n++] = entry;
	}
	return true;
}

bool site_add_hosts(struct http_site *s, struct slice list, struct slice *ret_bad)
{
	return add_list(&s->hosts, list, is_host_entry, ret_bad);
}

bool site_add_origins(struct http_site *s, struct slice list, struct slice *ret_bad)
{
	return add_list(&s->origins, list, is_origin_entry, ret_bad);
}

static bool host_matches(struct slice entry, struct slice host)
{
	if (entry.p[0] != '*') {
		return slice_eq_nocase(entry, host);
	}
	struct slice end = slice_skip(entry, 1);
	return host.n > end.n && slice_eq_nocase(slice_skip(host, host.n - end.n), end);
}

bool site_serves(const struct http_site *s, struct slice authority)
{
	struct slice host = without_port(authority);
	for (size_t i = 0; i < s->hosts.n; i++) {
		if (slice_eq(s->hosts.entries[i], SLICE("*")) ||
			host_matches(s->hosts.entries[i], host)) {
			return true;
		}
	}
	return s->hosts.n == 0;
}

bool site_trusts(const struct http_site *s, struct slice origin)
{
	for (size_t i = 0; i < s->origins.n; i++) {
		if (slice_eq(s->origins.entries[i], origin)) {
			return true;
		}
	}
	return false;
}
