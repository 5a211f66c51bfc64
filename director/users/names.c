#include "director/users/names.h"

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_alphanumeric(uint8_t c)
{
	return is_letter(c) || (c >= '0' && c <= '9');
}

static bool all_of(struct slice s, const char *others)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alphanumeric(s.p[i]) &&
			(s.p[i] == 0 || strchr(others, (char)s.p[i]) == NULL)) {
			return false;
		}
	}
	return true;
}

const char *user_name_refusal(struct slice name)
{
	if (name.n == 0 || name.n > USER_NAME_MAX || !is_alphanumeric(name.p[0]) ||
		!all_of(name, "._@+-")) {
		return "must be 1 to 64 of the characters A-Z a-z 0-9 . _ @ + - and begin with a letter "
		       "or a digit";
	}
	return NULL;
}

/* Labels of letters, digits and inner hyphens, at least two of them or one ("localhost"). */
static bool is_domain(struct slice s)
{
	bool label = false; /* the byte before may end a label */
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' || s.p[i] == '-') {
			if (!label && !(s.p[i] == '-' && i > 0 && s.p[i - 1] == '-')) {
				return false;
			}
			label = false;
		} else if (is_alphanumeric(s.p[i])) {
			label = true;
		} else {
			return false;
		}
	}
	return label;
}

const char *user_email_refusal(struct slice email)
{
	static const char rule[] = "must be an e-mail address of at most 254 ASCII characters";
	const uint8_t *at = email.n == 0 ? NULL : memrchr(email.p, '@', email.n);
	size_t local = at == NULL ? 0 : (size_t)(at - email.p);
	if (at == NULL || email.n > USER_EMAIL_MAX || local == 0 || local > 64) {
		return rule;
	}
	bool good = all_of(slice_of(email.p, local), ".!#$%&'*+/=?^_`{|}~-") &&
		is_domain(slice_skip(email, local + 1));
	return good ? NULL : rule;
}

const char *user_full_name_refusal(struct slice name)
{
	bool good = name.n <= USER_FULL_NAME_MAX && slice_is_utf8(name);
	for (size_t i = 0; i < name.n && good; i++) {
		good = name.p[i] >= 0x20 && name.p[i] != 0x7f;
	}
	return good ? NULL : "must be at most 200 bytes of text without control characters";
}

struct slice user_key(struct slice name, uint8_t out[static USER_KEY_MAX])
{
	if (name.n > USER_KEY_MAX || !slice_is_utf8(name) ||
		(name.n > 0 && memchr(name.p, 0, name.n) != NULL)) {
		return SLICE_NULL;
	}
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		out[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
	}
	return slice_of(out, name.n);
}
