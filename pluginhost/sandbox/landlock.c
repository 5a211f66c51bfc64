#include "pluginhost/sandbox/landlock.h"

#include "common/base/error.h"
#include "common/confine/landlock.h"
#include "pluginhost/runtime/runtime.h"
#include "pluginhost/sandbox/mounts.h"

#include <string.h>

int landlock_enter_worker(int abi, const struct sandbox_profile *profile, const char **ret_path)
{
	size_t n_table;
	const struct mount_row *table = mount_table(&n_table);
	struct landlock_rule rules[32];
	size_t n = 0;
	invariant(n_table + 3 <= sizeof(rules) / sizeof(rules[0]));
	for (size_t i = 0; i < n_table; i++) {
		if ((table[i].files & profile->files) == 0 || table[i].kind == MOUNT_LINK ||
			strcmp(table[i].path, "/proc") == 0) {
			continue;
		}
		rules[n++] = (struct landlock_rule){
			.path = table[i].path,
			.access = table[i].kind == MOUNT_DIRECTORY ? LANDLOCK_READ
				: table[i].writable                ? LANDLOCK_WRITE
								   : LANDLOCK_FILE,
			.optional = table[i].optional,
		};
	}
	rules[n++] = (struct landlock_rule){ RUNTIME_PLUGINS_DIR, LANDLOCK_READ, false };
	if ((profile->files & FILES_PYTHON) != 0) {
		rules[n++] = (struct landlock_rule){ RUNTIME_PYTHON_DIR, LANDLOCK_READ, false };
	}
	if ((profile->files & FILES_TMP) != 0) {
		rules[n++] = (struct landlock_rule){ "/tmp", LANDLOCK_ALL, false };
	}
	return landlock_restrict(abi, rules, n, LANDLOCK_NO_NETWORK, ret_path);
}
