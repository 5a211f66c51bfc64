#include "director/store/query/regex.h"

#include <errno.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
	DEPTH_LIMIT = 2000,
	HEAP_LIMIT_KIB = 1024,
	NEST_LIMIT = 64,
};

struct regex {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *context;
	struct slice pattern; /* of the filter, which outlives this */
	struct slice options;
};

static bool options_parse(struct slice options, uint32_t *ret_flags)
{
	uint32_t flags = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;
	for (size_t i = 0; i < options.n; i++) {
		switch (options.p[i]) {
		case 'i':
			flags |= PCRE2_CASELESS;
			break;
		case 'm':
			flags |= PCRE2_MULTILINE;
			break;
		case 's':
			flags |= PCRE2_DOTALL;
			break;
		case 'x':
			flags |= PCRE2_EXTENDED;
			break;
		case 'u':
			break;
		default:
			return false;
		}
	}
	*ret_flags = flags;
	return true;
}

static pcre2_code *code_compile(struct slice pattern, uint32_t flags, int *ret_error)
{
	PCRE2_SIZE offset = 0;
	pcre2_compile_context *limits = pcre2_compile_context_create(NULL);
	if (limits == NULL) {
		*ret_error = PCRE2_ERROR_NOMEMORY;
		return NULL;
	}
	(void)pcre2_set_parens_nest_limit(limits, NEST_LIMIT);
	pcre2_code *code = pcre2_compile(pattern.p == NULL ? (PCRE2_SPTR) "" : pattern.p, pattern.n,
		flags, ret_error, &offset, limits);
	pcre2_compile_context_free(limits);
	return code;
}

static int compile_failed(int error, struct slice pattern, struct store_failure *f)
{
	PCRE2_UCHAR text[120];
	if (error == PCRE2_ERROR_NOMEMORY || error == PCRE2_ERROR_HEAP_FAILED) {
		return -ENOMEM;
	}
	if (pcre2_get_error_message(error, text, sizeof(text)) < 0) {
		text[0] = 0;
	}
	return store_fail(f, STORE_E_INVALID, "the regular expression \"%.*s\" is not valid: %s",
		STORE_NAME(pattern), (const char *)text);
}

int regex_compile(struct regex **ret,
	struct slice pattern,
	struct slice options,
	size_t max_bytes,
	uint32_t max_steps,
	struct store_failure *f)
{
	uint32_t flags = 0;
	int error = 0;
	if (pattern.n > max_bytes) {
		return store_fail(f, STORE_E_LIMIT,
			"a regular expression of %zu bytes; the limit is %zu "
			"(MOZAIKS_MAX_REGEX_BYTES)",
			pattern.n, max_bytes);
	}
	if (!options_parse(options, &flags)) {
		return store_fail(f, STORE_E_INVALID,
			"the options \"%.*s\" of a regular expression: only i, m, s and x are known",
			STORE_NAME(options));
	}
	struct regex *re = calloc(1, sizeof(*re));
	if (re == NULL) {
		return -ENOMEM;
	}
	re->pattern = pattern;
	re->options = options;
	re->code = code_compile(pattern, flags, &error);
	if (re->code == NULL) {
		regex_free(re);
		return compile_failed(error, pattern, f);
	}
	/* Only whether it matches is asked: one pair of offsets. */
	re->data = pcre2_match_data_create(1, NULL);
	re->context = pcre2_match_context_create(NULL);
	if (re->data == NULL || re->context == NULL) {
		regex_free(re);
		return -ENOMEM;
	}
	(void)pcre2_set_match_limit(re->context, max_steps);
	(void)pcre2_set_depth_limit(re->context, DEPTH_LIMIT);
	(void)pcre2_set_heap_limit(re->context, HEAP_LIMIT_KIB);
	*ret = re;
	return 0;
}

struct regex *regex_free(struct regex *re)
{
	if (re != NULL) {
		pcre2_match_context_free(re->context);
		pcre2_match_data_free(re->data);
		pcre2_code_free(re->code);
		free(re);
	}
	return NULL;
}

int regex_match(const struct regex *re, struct slice text)
{
	int r = pcre2_match(re->code, text.p, text.n, 0, PCRE2_NO_JIT, re->data, re->context);
	if (r >= 0) {
		return 1;
	}
	switch (r) {
	case PCRE2_ERROR_MATCHLIMIT:
	case PCRE2_ERROR_DEPTHLIMIT:
	case PCRE2_ERROR_HEAPLIMIT:
	case PCRE2_ERROR_NOMEMORY:
		return -1;
	default:
		/* No match, or a text that is not UTF-8: nothing there that could match. */
		return 0;
	}
}

bool regex_same(const struct regex *re, struct slice pattern, struct slice options)
{
	return slice_eq(re->pattern, pattern) && slice_eq(re->options, options);
}
