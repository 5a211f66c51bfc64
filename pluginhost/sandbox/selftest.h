/* The last step of the sandbox: the worker tries what must fail before it runs anything of a plugin. */
#pragma once

/**
 * Each attempt must fail with exactly the errno that its layer gives.
 * @param plugin the worker's own: the directory of all snapshots must be out of reach.
 * @return NULL, or the attempt that did not fail as it should; errno is what it gave (0: it worked).
 */
const char *selftest_run(const char *plugin);
