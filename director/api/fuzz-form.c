/* Forms against a second reading: what was accepted, written again and read again, is the same; nothing
 * points outside the room; what is refused has a reason in the text. */
#include "common/base/buffer.h"
#include "common/base/error.h"
#include "director/api/form.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_text(struct buffer *b, struct slice s)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < s.n; i++) {
		const uint8_t escaped[] = { '%', (uint8_t)digits[s.p[i] >> 4],
			(uint8_t)digits[s.p[i] & 15] };
		invariant(buffer_append(b, slice_of(escaped, 3)) == 0);
	}
}

static void write_again(struct buffer *b, const struct form *f)
{
	for (size_t i = 0; i < f->n; i++) {
		invariant(buffer_append(b, i > 0 ? SLICE("&") : SLICE("&&")) == 0);
		write_text(b, f->names[i]);
		invariant(buffer_append_byte(b, '=') == 0);
		write_text(b, f->values[i]);
	}
}

static void check_inside(struct slice s, const uint8_t *room, size_t n)
{
	invariant(s.n == 0 || (s.p >= room && s.p + s.n <= room + n));
	invariant(slice_is_utf8(s));
}

/* Why a text may be refused, looked for in another way. */
static bool may_be_refused(struct slice text)
{
	size_t pairs = 1;
	bool unusual = false;
	for (size_t i = 0; i < text.n; i++) {
		pairs += text.p[i] == '&';
		unusual = unusual || text.p[i] == '%' || text.p[i] >= 0x80;
	}
	return unusual || pairs > 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct form first;
	struct form second;
	struct buffer b;
	struct slice value;
	uint8_t *room = malloc(size + 1);
	buffer_init(&b, 8 * size + 1024);
	if (room == NULL) {
		return 0;
	}
	const char *wrong = form_parse(slice_of(data, size), room, &first);
	if (wrong != NULL) {
		invariant(may_be_refused(slice_of(data, size)));
		free(room);
		return 0;
	}
	invariant(first.n <= FORM_FIELDS_MAX);
	write_again(&b, &first);
	uint8_t *other = malloc(b.n + 1);
	if (other != NULL) {
		invariant(form_parse(buffer_slice(&b), other, &second) == NULL);
		invariant(first.n == second.n);
		for (size_t i = 0; i < first.n; i++) {
			check_inside(first.names[i], room, size);
			check_inside(first.values[i], room, size);
			invariant(slice_eq(first.names[i], second.names[i]));
			invariant(slice_eq(first.values[i], second.values[i]));
			invariant(form_find(&second, first.names[i], &value));
			invariant(slice_eq(value, first.values[i]));
		}
	}
	free(other);
	free(room);
	buffer_deinit(&b);
	return 0;
}
