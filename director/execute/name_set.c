#include "director/execute/name_set.h"

#include "common/base/map.h"
#include "common/json/scan.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_SLOTS = 64, KEEP_SLOTS = 4096 };

struct slot {
	uint32_t generation; /* in use when it equals the set's */
	unsigned hash;
	struct slice name; /* as it stands in the text */
};

struct name_set {
	struct slot *slots;
	size_t n_slots; /* a power of two */
	size_t used;
	uint32_t generation;
	uint8_t *scratch; /* for unescaping */
	size_t scratch_size;
};

int name_set_new(struct name_set **ret)
{
	struct name_set *s = calloc(1, sizeof(*s));
	struct slot *slots = calloc(FIRST_SLOTS, sizeof(*slots));
	if (s == NULL || slots == NULL) {
		free(s);
		free(slots);
		return -ENOMEM;
	}
	*s = (struct name_set){ .slots = slots, .n_slots = FIRST_SLOTS, .generation = 1 };
	*ret = s;
	return 0;
}

struct name_set *name_set_free(struct name_set *s)
{
	if (s != NULL) {
		free(s->slots);
		free(s->scratch);
		free(s);
	}
	return NULL;
}

void name_set_clear(struct name_set *s)
{
	s->used = 0;
	if (++s->generation == 0 || s->n_slots > KEEP_SLOTS) {
		/* One huge request must not cost memory for ever. When there is no memory for a
		 * smaller table the old one does as well. */
		struct slot *slots = calloc(FIRST_SLOTS, sizeof(*slots));
		if (slots != NULL) {
			free(s->slots);
			s->slots = slots;
			s->n_slots = FIRST_SLOTS;
		} else {
			memset(s->slots, 0, s->n_slots * sizeof(*s->slots));
		}
		s->generation = 1;
	}
}

static bool is_escaped(struct slice name)
{
	return name.n > 0 && memchr(name.p, '\\', name.n) != NULL;
}

/* The name itself: as it stands, or unescaped into the scratch memory. */
static int plain_name(struct name_set *s, struct slice escaped, struct slice *ret_name)
{
	if (!is_escaped(escaped)) {
		*ret_name = escaped;
		return 0;
	}
	if (s->scratch_size < escaped.n) {
		uint8_t *scratch = realloc(s->scratch, escaped.n);
		if (scratch == NULL) {
			return -ENOMEM;
		}
		s->scratch = scratch;
		s->scratch_size = escaped.n;
	}
	*ret_name = slice_of(s->scratch, json_unescape(escaped, s->scratch));
	return 0;
}

static int grow(struct name_set *s)
{
	size_t n = s->n_slots * 2;
	struct slot *slots = calloc(n, sizeof(*slots));
	if (slots == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->n_slots; i++) {
		if (s->slots[i].generation != s->generation) {
			continue;
		}
		size_t at = s->slots[i].hash & (n - 1);
		while (slots[at].generation == s->generation) {
			at = (at + 1) & (n - 1);
		}
		slots[at] = s->slots[i];
	}
	free(s->slots);
	s->slots = slots;
	s->n_slots = n;
	return 0;
}

int name_set_add(struct name_set *s, struct slice escaped)
{
	struct slice name;
	if (s->used * 2 >= s->n_slots && grow(s) < 0) {
		return -ENOMEM;
	}
	int r = plain_name(s, escaped, &name);
	if (r < 0) {
		return r;
	}
	unsigned hash = map_hash(name.p, name.n);
	size_t at = hash & (s->n_slots - 1);
	while (s->slots[at].generation == s->generation) {
		const struct slot *slot = &s->slots[at];
		if (slot->hash == hash &&
			(slice_eq(slot->name, name) || json_name_eq(slot->name, name))) {
			return 1;
		}
		at = (at + 1) & (s->n_slots - 1);
	}
	s->slots[at] = (struct slot){ .generation = s->generation, .hash = hash, .name = escaped };
	s->used++;
	return 0;
}
