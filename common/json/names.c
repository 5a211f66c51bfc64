#include "common/json/names.h"

#include "common/base/map.h"

#include <errno.h>
#include <stdlib.h>

/* Up to here comparing each with each is cheaper than hashing. */
enum { NAMES_COMPARED = 16 };

void names_init(struct names *names)
{
	names->list = names->local;
	names->n = 0;
	names->capacity = NAMES_LOCAL;
	names->table = NULL;
	names->slots = 0;
}

void names_deinit(struct names *names)
{
	if (names->list != names->local) {
		free(names->list);
	}
	free(names->table);
	names_init(names);
}

int names_push(struct names *names, struct name name)
{
	if (names->n == names->capacity) {
		size_t capacity = names->capacity * 2;
		bool local = names->list == names->local;
		struct name *list =
			realloc(local ? NULL : names->list, capacity * sizeof(*names->list));
		if (list == NULL) {
			return -ENOMEM;
		}
		if (local) {
			memcpy(list, names->local, sizeof(names->local));
		}
		names->list = list;
		names->capacity = capacity;
	}
	names->list[names->n++] = name;
	return 0;
}

static bool same(const struct name *a, const struct name *b, const uint8_t *bytes)
{
	return a->n == b->n && memcmp(bytes + a->at, bytes + b->at, a->n) == 0;
}

static const struct name *compare_all(const struct name *list, size_t n, const uint8_t *bytes)
{
	for (size_t i = 1; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			if (same(&list[i], &list[j], bytes)) {
				return &list[i];
			}
		}
	}
	return NULL;
}

/* An empty table of at least 2n slots, a power of two. A slot is an index + 1, or 0. */
static int clear_table(struct names *names, size_t n, size_t *ret_slots)
{
	size_t slots = 4 * (size_t)NAMES_COMPARED;
	while (slots < 2 * n) {
		slots *= 2;
	}
	if (slots > names->slots) {
		uint32_t *table = realloc(names->table, slots * sizeof(*table));
		if (table == NULL) {
			return -ENOMEM;
		}
		names->table = table;
		names->slots = slots;
	}
	memset(names->table, 0, slots * sizeof(*names->table));
	*ret_slots = slots;
	return 0;
}

static const struct name *hash_all(
	uint32_t *table, size_t slots, const struct name *list, size_t n, const uint8_t *bytes)
{
	for (size_t i = 0; i < n; i++) {
		size_t slot = map_hash(bytes + list[i].at, list[i].n) & (slots - 1);
		while (table[slot] != 0) {
			if (same(&list[i], &list[table[slot] - 1], bytes)) {
				return &list[i];
			}
			slot = (slot + 1) & (slots - 1);
		}
		table[slot] = (uint32_t)i + 1;
	}
	return NULL;
}

int names_end(struct names *names, size_t first, const uint8_t *bytes, size_t *ret_where)
{
	const struct name *list = names->list + first;
	size_t n = names->n - first;
	const struct name *twice;
	if (n <= NAMES_COMPARED) {
		twice = compare_all(list, n, bytes);
	} else {
		size_t slots;
		int r = clear_table(names, n, &slots);
		if (r < 0) {
			return r;
		}
		twice = hash_all(names->table, slots, list, n, bytes);
	}
	if (twice != NULL) {
		*ret_where = twice->where;
		return NAMES_E_DUPLICATE;
	}
	names->n = first;
	return 0;
}
