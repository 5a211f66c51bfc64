#include "director/store/query/pathset.h"

#include <errno.h>
#include <stdlib.h>

void pathset_deinit(struct pathset *set)
{
	free(set->entries);
	path_parts_deinit(&set->parts);
	*set = (struct pathset){ 0 };
}

void pathset_clear(struct pathset *set)
{
	set->n = 0;
	set->parts.n = 0;
}

int pathset_add(struct pathset *set, struct slice text, uint32_t payload, struct store_failure *f)
{
	if (set->n == set->cap) {
		uint32_t cap = set->cap == 0 ? 8 : set->cap * 2;
		struct pathset_entry *entries = reallocarray(set->entries, cap, sizeof(*entries));
		if (entries == NULL) {
			return -ENOMEM;
		}
		set->entries = entries;
		set->cap = cap;
	}
	struct pathset_entry *e = &set->entries[set->n];
	*e = (struct pathset_entry){ .text = text, .payload = payload };
	int r = path_parts_add(&set->parts, text, &e->part, &e->n_parts, f);
	set->n += r == 0 ? 1 : 0;
	return r;
}

static int part_compare(const struct path_part *a, const struct path_part *b)
{
	if (a->index >= 0 && b->index >= 0) {
		return (int)(a->index > b->index) - (int)(a->index < b->index);
	}
	if (a->index >= 0 || b->index >= 0) {
		return a->index >= 0 ? -1 : 1;
	}
	size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
	int c = memcmp(a->name.p, b->name.p, n);
	return c != 0 ? c : (int)(a->name.n > b->name.n) - (int)(a->name.n < b->name.n);
}

static int entry_compare(const void *x, const void *y, void *arg)
{
	const struct pathset *set = (const struct pathset *)arg;
	const struct pathset_entry *a = (const struct pathset_entry *)x;
	const struct pathset_entry *b = (const struct pathset_entry *)y;
	uint32_t n = a->n_parts < b->n_parts ? a->n_parts : b->n_parts;
	for (uint32_t i = 0; i < n; i++) {
		int c = part_compare(&set->parts.p[a->part + i], &set->parts.p[b->part + i]);
		if (c != 0) {
			return c;
		}
	}
	return (int)(a->n_parts > b->n_parts) - (int)(a->n_parts < b->n_parts);
}

/* In sorted order a path is followed at once by what begins with it. */
static bool begins_with(const struct pathset *set,
	const struct pathset_entry *longer,
	const struct pathset_entry *shorter)
{
	if (longer->n_parts < shorter->n_parts) {
		return false;
	}
	for (uint32_t i = 0; i < shorter->n_parts; i++) {
		if (part_compare(&set->parts.p[longer->part + i],
			    &set->parts.p[shorter->part + i]) != 0) {
			return false;
		}
	}
	return true;
}

int pathset_finish(struct pathset *set, struct store_failure *f)
{
	if (set->n > 1) {
		qsort_r(set->entries, set->n, sizeof(*set->entries), entry_compare, set);
	}
	for (uint32_t i = 1; i < set->n; i++) {
		const struct pathset_entry *a = &set->entries[i - 1];
		const struct pathset_entry *b = &set->entries[i];
		if (begins_with(set, b, a)) {
			return store_fail(f, STORE_E_INVALID,
				"the field %.*s conflicts with %.*s: one of them may be named, once",
				STORE_NAME(b->text), STORE_NAME(a->text));
		}
	}
	return 0;
}

bool pathset_find(const struct pathset *set,
	struct pathset_range r,
	unsigned level,
	struct slice name,
	struct pathset_range *ret)
{
	uint64_t index = 0;
	bool number = index_parse(name, &index);
	struct path_part wanted = { name, number ? (int64_t)index : -1 };
	uint32_t low = r.low;
	uint32_t high = r.high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (part_compare(pathset_part(set, middle, level), &wanted) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low == r.high || part_compare(pathset_part(set, low, level), &wanted) != 0) {
		return false;
	}
	*ret = pathset_group(set, r, level, low);
	return true;
}

struct pathset_range pathset_group(
	const struct pathset *set, struct pathset_range r, unsigned level, uint32_t low)
{
	const struct path_part *first = pathset_part(set, low, level);
	uint32_t high = low + 1;
	while (high < r.high && part_compare(pathset_part(set, high, level), first) == 0) {
		high++;
	}
	return (struct pathset_range){ low, high };
}
