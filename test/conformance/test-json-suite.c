/*
 * JSONTestSuite (nst/JSONTestSuite, MIT) against the scanner: y_ files are accepted, n_ files are
 * refused, and the i_ files, about which the standard leaves the choice, are what our table says.
 * The exact counts make sure that a part of the suite which is not there does not pass.
 *
 * Argument: the folder with suites/json, unless MOZAIKS_SHARED names another. Exits with 77 when
 * there is none, and with 1 when CI is set.
 */
#include "common/base/buffer.h"
#include "common/base/map.h"
#include "common/json/bson_json.h"
#include "common/json/scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { ACCEPTED = 95, REFUSED = 188, FILE_MAX = 1024 * 1024 };

/* What we do with the files about which the standard leaves the choice: the scanner with the text,
 * and the way to BSON with the text as the value of a member. */
static const struct choice {
	const char *file;
	bool scan;
	bool bson;
} choices[] = {
	/* A number is text to the scanner; to BSON it must be a finite double. */
	{ "i_number_double_huge_neg_exp.json", true, true },
	{ "i_number_huge_exp.json", true, false },
	{ "i_number_neg_int_huge_exp.json", true, false },
	{ "i_number_pos_double_huge_exp.json", true, false },
	{ "i_number_real_neg_overflow.json", true, false },
	{ "i_number_real_pos_overflow.json", true, false },
	{ "i_number_real_underflow.json", true, true },
	{ "i_number_too_big_neg_int.json", true, true },
	{ "i_number_too_big_pos_int.json", true, true },
	{ "i_number_very_big_negative_int.json", true, true },
	/* Half of a surrogate pair cannot be written as UTF-8. */
	{ "i_object_key_lone_2nd_surrogate.json", false, false },
	{ "i_string_1st_surrogate_but_2nd_missing.json", false, false },
	{ "i_string_1st_valid_surrogate_2nd_invalid.json", false, false },
	{ "i_string_incomplete_surrogate_and_escape_valid.json", false, false },
	{ "i_string_incomplete_surrogate_pair.json", false, false },
	{ "i_string_incomplete_surrogates_escape_valid.json", false, false },
	{ "i_string_invalid_lonely_surrogate.json", false, false },
	{ "i_string_invalid_surrogate.json", false, false },
	{ "i_string_inverted_surrogates_U+1D11E.json", false, false },
	{ "i_string_lone_second_surrogate.json", false, false },
	/* UTF-8 only, and valid. */
	{ "i_string_UTF-16LE_with_BOM.json", false, false },
	{ "i_string_UTF-8_invalid_sequence.json", false, false },
	{ "i_string_UTF8_surrogate_U+D800.json", false, false },
	{ "i_string_invalid_utf-8.json", false, false },
	{ "i_string_iso_latin_1.json", false, false },
	{ "i_string_lone_utf8_continuation_byte.json", false, false },
	{ "i_string_not_in_unicode_range.json", false, false },
	{ "i_string_overlong_sequence_2_bytes.json", false, false },
	{ "i_string_overlong_sequence_6_bytes.json", false, false },
	{ "i_string_overlong_sequence_6_bytes_null.json", false, false },
	{ "i_string_truncated-utf-8.json", false, false },
	{ "i_string_utf16BE_no_BOM.json", false, false },
	{ "i_string_utf16LE_no_BOM.json", false, false },
	/* 64 levels, no byte order mark. */
	{ "i_structure_500_nested_arrays.json", false, false },
	{ "i_structure_UTF-8_BOM_empty_object.json", false, false },
};

enum { CHOICES = sizeof(choices) / sizeof(choices[0]) };

static struct {
	unsigned accepted;
	unsigned refused;
	unsigned chosen;
	unsigned wrong;
} counts;

static void wrong(const char *file, const char *what)
{
	counts.wrong++;
	printf("%s: %s\n", file, what);
}

static bool scans(struct slice text)
{
	return json_scan(text, NULL, NULL, NULL, NULL) == 0;
}

/* The text as the value of the one member of an object. */
static bool converts(struct slice text)
{
	struct buffer object;
	struct buffer bson;
	buffer_init(&object, FILE_MAX + 16);
	buffer_init(&bson, 16 * (size_t)FILE_MAX);
	int r = buffer_append(&object, SLICE("{\"v\":"));
	r = r < 0 ? r : buffer_append(&object, text);
	r = r < 0 ? r : buffer_append_byte(&object, '}');
	r = r < 0 ? r : json_to_bson_bytes(buffer_slice(&object), JSON_BSON_PLAIN, &bson, NULL);
	buffer_deinit(&object);
	buffer_deinit(&bson);
	if (r < 0 && r != -EBADMSG) {
		printf("unexpected error %d\n", r);
		exit(1);
	}
	return r == 0;
}

static void check_choice(const char *file, struct slice text)
{
	for (size_t i = 0; i < CHOICES; i++) {
		if (slice_eq(slice_str(file), slice_str(choices[i].file))) {
			counts.chosen++;
			if (scans(text) != choices[i].scan) {
				wrong(file, choices[i].scan ? "refused" : "accepted");
			}
			if (converts(text) != choices[i].bson) {
				wrong(file, choices[i].bson ? "not converted" : "converted");
			}
			return;
		}
	}
	wrong(file, "not in our table");
}

static void check(const char *file, struct slice text)
{
	switch (file[0]) {
	case 'y':
		counts.accepted += scans(text);
		if (!scans(text)) {
			wrong(file, "refused");
		}
		break;
	case 'n':
		counts.refused += !scans(text);
		if (scans(text)) {
			wrong(file, "accepted");
		}
		break;
	case 'i':
		check_choice(file, text);
		break;
	default:
		wrong(file, "an unknown kind");
	}
}

static int read_and_check(const char *folder, const char *file)
{
	char path[4096];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, file);
	FILE *f = fopen(path, "rb");
	uint8_t *text = malloc(FILE_MAX);
	int r = f == NULL ? -errno : text == NULL ? -ENOMEM : 0;
	if (r == 0) {
		size_t n = fread(text, 1, FILE_MAX, f);
		r = ferror(f) != 0 || n == FILE_MAX ? -EIO : 0;
		if (r == 0) {
			check(file, slice_of(text, n));
		}
	}
	if (f != NULL) {
		(void)fclose(f);
	}
	free(text);
	return r;
}

static int not_run(const char *folder)
{
	printf("not run: JSONTestSuite, there is no %s (MOZAIKS_SHARED names its place)\n", folder);
	return getenv("CI") != NULL ? 1 : 77;
}

int main(int argc, char **argv)
{
	const char *shared = getenv("MOZAIKS_SHARED");
	char folder[2048];
	if (shared == NULL || *shared == '\0') {
		shared = argc > 1 ? argv[1] : "../shared";
	}
	(void)snprintf(folder, sizeof(folder), "%s/suites/json", shared);
	DIR *dir = opendir(folder);
	if (dir == NULL) {
		return not_run(folder);
	}
	int r = map_init();
	struct dirent *entry;
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		size_t n = strlen(entry->d_name);
		if (n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0) {
			r = read_and_check(folder, entry->d_name);
		}
	}
	(void)closedir(dir);
	printf("%u accepted, %u refused, %u of our choice, %u wrong\n", counts.accepted,
		counts.refused, counts.chosen, counts.wrong);
	bool whole = counts.accepted == ACCEPTED && counts.refused == REFUSED &&
		counts.chosen == CHOICES;
	return r == 0 && whole && counts.wrong == 0 ? 0 : 1;
}
