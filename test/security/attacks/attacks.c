#include "test/security/attacks/attack.h"

#include <fcntl.h>
#include <unistd.h>

uint8_t attack_canary[ATTACK_CANARY_SIZE];

const struct attack *attack_at(unsigned i)
{
	const struct {
		const struct attack *rows;
		size_t n;
	} groups[] = {
		{ attacks_on_files, n_attacks_on_files },
		{ attacks_on_processes, n_attacks_on_processes },
		{ attacks_on_kernel, n_attacks_on_kernel },
		{ attacks_on_network, n_attacks_on_network },
		{ attacks_in_python, n_attacks_in_python },
	};
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		if (i < groups[g].n) {
			return &groups[g].rows[i];
		}
		i -= (unsigned)groups[g].n;
	}
	return NULL;
}

int attack_tmp_file(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

long attack_no_child(long pid)
{
	if (pid == 0) {
		_exit(0);
	}
	return pid;
}
