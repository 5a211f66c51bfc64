/*
 * The table test-manifests.json: what each manifest yields, or why it is refused. The same table
 * tests the published schema (test/system/test_manifest_schema.py), so that both say the same.
 */
#include "pluginhost/manifest.h"
#include "pluginhost/test-tree.h"

#include <errno.h>

static json_t *load_table(void)
{
	char *text;
	size_t n;
	int dir = open(SOURCE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	assert_int_equal(beneath_read(dir, "test-manifests.json", 1 << 20, &text, &n), 0);
	(void)close(dir);
	json_t *table = json_loadb(text, n, 0, NULL);
	free(text);
	assert_true(json_is_array(table));
	return table;
}

/* The text of a case: given, made from a value, or made from a repeated byte. NULL: no file. */
static char *text_of_case(json_t *row)
{
	json_t *text = json_object_get(row, "text");
	json_t *repeat = json_object_get(row, "repeat");
	if (text != NULL) {
		return json_is_null(text) ? NULL : strdup(json_string_value(text));
	}
	if (repeat != NULL) {
		char value[1000];
		size_t n = (size_t)json_integer_value(json_array_get(repeat, 2));
		assert_true(n < sizeof(value));
		memset(value, *json_string_value(json_array_get(repeat, 1)), n);
		json_t *object = json_object();
		(void)json_object_set_new(object, json_string_value(json_array_get(repeat, 0)),
			json_stringn(value, n));
		char *made = json_dumps(object, 0);
		json_decref(object);
		return made;
	}
	return json_dumps(json_object_get(row, "in"), 0);
}

static void check_out(const char *what, const struct manifest *m, json_t *want)
{
	json_t *out = json_loadb((const char *)m->json.p, m->json.n, 0, NULL);
	const char *key;
	json_t *value;
	assert_int_equal(json_object_size(out), 13);
	json_object_foreach(want, key, value)
	{
		if (!json_equal(json_object_get(out, key), value)) {
			fail_msg("%s: %s in %.*s", what, key, (int)m->json.n, m->json.p);
		}
	}
	json_decref(out);
}

static void the_table_holds(void **state)
{
	json_t *table = load_table();
	size_t i;
	json_t *row;
	assert_true(json_array_size(table) > 50);
	json_array_foreach(table, i, row)
	{
		const char *what = json_string_value(json_object_get(row, "what"));
		const char *why_wanted = json_string_value(json_object_get(row, "why"));
		char *text = text_of_case(row);
		struct manifest m;
		struct json_why why = { "" };
		int r = manifest_parse(slice_str(text), "my_plugin", &m, &why);
		if (r != (why_wanted != NULL ? MANIFEST_E_BROKEN : 0)) {
			fail_msg("%s: %d %s", what, r, why.text);
		}
		if (why_wanted != NULL) {
			if (strstr(why.text, why_wanted) == NULL) {
				fail_msg("%s: \"%s\"", what, why.text);
			}
		} else {
			check_out(what, &m, json_object_get(row, "out"));
			manifest_deinit(&m);
		}
		free(text);
	}
	json_decref(table);
}

static void the_struct_has_the_values(void **state)
{
	struct manifest m;
	struct json_why why;
	struct slice text =
		SLICE("{\"workers\":2,\"concurrency\":8,\"isolation\":\"request\","
		      "\"runtime\":\"native\",\"limits\":{\"memory\":\"64M\",\"pids\":9,"
		      "\"cpu\":25,\"timeout\":1.5}}");
	assert_int_equal(manifest_parse(text, "x", &m, &why), 0);
	assert_int_equal(m.workers, 2);
	assert_int_equal(m.concurrency, 8);
	assert_int_equal(m.isolation, ISOLATION_REQUEST);
	assert_int_equal(m.runtime, RUNTIME_NATIVE);
	assert_int_equal(m.memory_bytes, 64 << 20);
	assert_int_equal(m.pids, 9);
	assert_int_equal(m.cpu_percent, 25);
	assert_int_equal(m.timeout_ms, 1500);
	manifest_deinit(&m);
}

static void files_are_read(void **state)
{
	struct tree t;
	struct manifest m;
	struct json_why why;
	tree_init(&t);
	assert_int_equal(manifest_read(t.fd, "x", &m, &why), 0);
	manifest_deinit(&m);
	tree_file(&t, "manifest.json", "{\"title\":\"T\"}");
	assert_int_equal(manifest_read(t.fd, "x", &m, &why), 0);
	manifest_deinit(&m);
	tree_file(&t, "manifest.json", "");
	assert_int_equal(manifest_read(t.fd, "x", &m, &why), MANIFEST_E_BROKEN);
	char *big = calloc(1, MANIFEST_MAX + 1);
	memset(big, ' ', MANIFEST_MAX);
	big[0] = '{';
	big[MANIFEST_MAX - 1] = '}';
	tree_file_n(&t, "manifest.json", big, MANIFEST_MAX);
	assert_int_equal(manifest_read(t.fd, "x", &m, &why), 0);
	manifest_deinit(&m);
	tree_file_n(&t, "manifest.json", big, MANIFEST_MAX + 1);
	assert_int_equal(manifest_read(t.fd, "x", &m, &why), MANIFEST_E_BROKEN);
	assert_string_equal(why.text, "manifest.json is longer than 65536 bytes");
	free(big);
	assert_int_equal(unlinkat(t.fd, "manifest.json", 0), 0);
	tree_dir(&t, "manifest.json");
	assert_int_equal(manifest_read(t.fd, "x", &m, &why), MANIFEST_E_BROKEN);
	tree_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_holds),
		cmocka_unit_test(the_struct_has_the_values),
		cmocka_unit_test(files_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
