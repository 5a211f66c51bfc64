#include "director/http/proxies.h"

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

bool proxies_add(struct proxies *p, struct slice list, struct slice *ret_bad)
{
	while (list.n > 0) {
		const uint8_t *comma = memchr(list.p, ',', list.n);
		size_t n = comma == NULL ? list.n : (size_t)(comma - list.p);
		struct slice entry = trimmed(slice_of(list.p, n));
		list = slice_skip(list, comma == NULL ? n : n + 1);
		if (entry.n == 0) {
			continue;
		}
		if (p->n == PROXIES_MAX || !network_parse(entry, &p->networks[p->n])) {
			*ret_bad = entry;
			return false;
		}
		p->n++;
	}
	return true;
}

bool proxies_trust(const struct proxies *p, const struct address *a)
{
	for (size_t i = 0; i < p->n; i++) {
		if (network_contains(&p->networks[i], a)) {
			return true;
		}
	}
	return false;
}

/* An address with or without a port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80. */
static bool read_node(struct slice s, struct address *ret)
{
	if (address_parse(s, ret)) {
		return true;
	}
	if (s.n > 0 && s.p[0] == '[') {
		const uint8_t *end = memchr(s.p, ']', s.n);
		size_t after = end == NULL ? 0 : (size_t)(end - s.p) + 1;
		return end != NULL && (after == s.n || s.p[after] == ':') &&
			address_parse(slice_of(s.p + 1, after - 2), ret);
	}
	const uint8_t *colon = s.n == 0 ? NULL : memchr(s.p, ':', s.n);
	return colon != NULL && address_parse(slice_of(s.p, (size_t)(colon - s.p)), ret);
}

/* All fields of one name are one list (RFC 9110, section 5.3), read from its end. */
struct list {
	const struct http_head *head;
	struct slice name;
	unsigned field;    /* fields before this one are still to be read */
	struct slice rest; /* of the field at hand */
	bool within;       /* there is a field at hand */
	bool quotes;       /* they mean something */
};

static struct list list_of(const struct http_head *head, struct slice name)
{
	return (struct list){ .head = head, .name = name, .field = head->n_fields };
}

static bool list_field_before(struct list *l)
{
	while (l->field > 0) {
		const struct head_field *f = &l->head->fields[--l->field];
		if (slice_eq_nocase(slice_of(l->head->bytes + f->name, f->name_n), l->name)) {
			l->rest = trimmed(slice_of(l->head->bytes + f->value, f->value_n));
			l->within = true;
			return true;
		}
	}
	return false;
}

/*
 * Where the last element of s begins. Read from the end, so that no quote of a client's can swallow what
 * our proxies have appended. @param quotes a comma within them does not count.
 * @return false when quotes are open at the beginning: there is no element, then.
 */
static bool last_element(struct slice s, bool quotes, size_t *ret_begin)
{
	bool quoted = false;
	size_t i = s.n;
	while (i > 0 && (quoted || s.p[i - 1] != ',')) {
		quoted ^= quotes && s.p[i - 1] == '"';
		i--;
	}
	*ret_begin = i;
	return !quoted;
}

/* The element before those that were taken. @return false when there is none. */
static bool list_take(struct list *l, struct slice *ret)
{
	if (!l->within && !list_field_before(l)) {
		return false;
	}
	size_t begin;
	bool whole = last_element(l->rest, l->quotes, &begin);
	*ret = whole ? trimmed(slice_skip(l->rest, begin)) : SLICE_NULL;
	l->within = begin > 0;
	l->rest.n = begin > 0 ? begin - 1 : 0;
	return true;
}

/* One parameter of a Forwarded element, without its quotes; one with escapes is none of ours. */
static struct slice parameter(struct slice element, struct slice name)
{
	while (element.n > 0) {
		const uint8_t *semicolon = memchr(element.p, ';', element.n);
		size_t n = semicolon == NULL ? element.n : (size_t)(semicolon - element.p);
		struct slice pair = trimmed(slice_of(element.p, n));
		const uint8_t *equals = pair.n == 0 ? NULL : memchr(pair.p, '=', pair.n);
		if (equals != NULL &&
			slice_eq_nocase(slice_of(pair.p, (size_t)(equals - pair.p)), name)) {
			struct slice value = slice_skip(pair, (size_t)(equals - pair.p) + 1);
			if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"') {
				value = slice_of(value.p + 1, value.n - 2);
			}
			return value;
		}
		element = slice_skip(element, semicolon == NULL ? n : n + 1);
	}
	return SLICE_NULL;
}

void proxies_resolve(const struct proxies *p,
	const struct address *peer,
	const struct http_head *head,
	struct forwarded *ret)
{
	bool standard = p->header == PROXIES_FORWARDED;
	struct list nodes = list_of(head, standard ? SLICE("Forwarded") : SLICE("X-Forwarded-For"));
	nodes.quotes = standard;
	struct list protocols = list_of(head, SLICE("X-Forwarded-Proto"));
	struct list hosts = list_of(head, SLICE("X-Forwarded-Host"));
	struct slice element;
	struct slice protocol;
	struct slice host;
	*ret = (struct forwarded){ .client = *peer };
	/* The proxy that speaks to us may say one thing for all of them. */
	if (!standard) {
		ret->https = list_take(&protocols, &protocol) &&
			slice_eq_nocase(protocol, SLICE("https"));
		ret->host = list_take(&hosts, &host) ? host : SLICE_NULL;
	}
	for (int hop = 0; hop < PROXIES_HOPS_MAX && list_take(&nodes, &element); hop++) {
		struct address node;
		if (standard) {
			protocol = parameter(element, SLICE("proto"));
			host = parameter(element, SLICE("host"));
			ret->https = slice_eq_nocase(protocol, SLICE("https"));
			ret->host = host;
			element = parameter(element, SLICE("for"));
		}
		if (!read_node(element, &node)) {
			return;
		}
		ret->client = node;
		if (!proxies_trust(p, &node)) {
			return;
		}
	}
}
