#include "pluginhost/sandbox/profile.h"

#include "common/base/error.h"

#define MIB (1024ULL * 1024)

const struct worker_limits sandbox_limits_max = {
	.memory_bytes = 64 * 1024 * MIB,
	.address_space_bytes = 256 * 1024 * MIB,
	.file_size_bytes = 1024 * MIB,
	.tmp_bytes = 1024 * MIB,
	.tmp_files = 1024 * 1024,
	.processes = 4096,
	.threads = 4096,
	.open_files = 4096,
	.cpu_percent = 6400,
};

/* The numbers of a Python worker fit its pool of 8 threads with small stacks, asyncio's
 * descriptors and a generous heap; RLIMIT_AS comes first, as a MemoryError is friendlier than the
 * kernel's kill. */
static const struct sandbox_profile profiles[] = {
	[PROFILE_PYTHON] = {
		.name = "python",
		.flavour = WORKER_PYTHON,
		.files = FILES_LIBRARIES | FILES_PYTHON | FILES_PLUGIN | FILES_TMP | FILES_DEVICES,
		.filter = FILTER_PYTHON,
		.final_filter = FILTER_PYTHON,
		.limits = {
			.memory_bytes = 256 * MIB,
			.address_space_bytes = 1024 * MIB,
			.file_size_bytes = 16 * MIB,
			.tmp_bytes = 16 * MIB,
			.tmp_files = 1024,
			.processes = 64,
			.threads = 32,
			.open_files = 64,
			.cpu_percent = 100,
		},
	},
	[PROFILE_NATIVE] = {
		.name = "native",
		.flavour = WORKER_NATIVE,
		.files = FILES_LIBRARIES | FILES_PLUGIN | FILES_TMP | FILES_DEVICES,
		.filter = FILTER_NATIVE_LOAD,
		.final_filter = FILTER_NATIVE,
		.limits = {
			.memory_bytes = 256 * MIB,
			.address_space_bytes = 512 * MIB,
			.file_size_bytes = 16 * MIB,
			.tmp_bytes = 16 * MIB,
			.tmp_files = 1024,
			.processes = 16,
			.threads = 8,
			.open_files = 32,
			.cpu_percent = 100,
		},
	},
	[PROFILE_NATIVE_NOFS] = {
		.name = "native-nofs",
		.flavour = WORKER_NATIVE,
		.files = FILES_LIBRARIES | FILES_PLUGIN,
		.filter = FILTER_NATIVE_LOAD,
		.final_filter = FILTER_NATIVE_NOFS,
		.limits = {
			.memory_bytes = 256 * MIB,
			.address_space_bytes = 512 * MIB,
			/* The log pipes are no files: nothing is left to write to. */
			.file_size_bytes = 1 * MIB,
			.tmp_bytes = 1 * MIB,
			.tmp_files = 16,
			.processes = 16,
			.threads = 8,
			.open_files = 32,
			.cpu_percent = 100,
		},
	},
};

const struct sandbox_profile *sandbox_profile(enum worker_profile profile)
{
	invariant((size_t)profile < sizeof(profiles) / sizeof(profiles[0]));
	return &profiles[profile];
}

static uint64_t fill_u64(uint64_t asked, uint64_t fallback, uint64_t max)
{
	uint64_t value = asked != 0 ? asked : fallback;
	return value < max ? value : max;
}

static uint32_t fill_u32(uint32_t asked, uint32_t fallback, uint32_t max)
{
	return (uint32_t)fill_u64(asked, fallback, max);
}

void sandbox_limits_fill(const struct sandbox_profile *profile, struct worker_limits *limits)
{
	const struct worker_limits *d = &profile->limits;
	const struct worker_limits *max = &sandbox_limits_max;
	struct worker_limits *l = limits;
	l->memory_bytes = fill_u64(l->memory_bytes, d->memory_bytes, max->memory_bytes);
	/* Who was given more memory needs more addresses in proportion. */
	uint64_t addresses = d->address_space_bytes / d->memory_bytes * l->memory_bytes;
	if (addresses < d->address_space_bytes) {
		addresses = d->address_space_bytes;
	}
	l->address_space_bytes =
		fill_u64(l->address_space_bytes, addresses, max->address_space_bytes);
	l->file_size_bytes = fill_u64(l->file_size_bytes, d->file_size_bytes, max->file_size_bytes);
	l->tmp_bytes = fill_u64(l->tmp_bytes, d->tmp_bytes, max->tmp_bytes);
	l->tmp_files = fill_u32(l->tmp_files, d->tmp_files, max->tmp_files);
	l->processes = fill_u32(l->processes, d->processes, max->processes);
	l->threads = fill_u32(l->threads, d->threads, max->threads);
	l->open_files = fill_u32(l->open_files, d->open_files, max->open_files);
	l->cpu_percent = fill_u32(l->cpu_percent, d->cpu_percent, max->cpu_percent);
}
