/*
 * attack-workers with one layer of the sandbox left out: each file here replaces, at link time
 * (--wrap), the functions that put one layer in place. Nothing of it is in any program but these.
 * Without a layer the worker's self-test would refuse to go on, so it is left out, too.
 */
#pragma once

/* The name of the layer that this program is without, or NULL. */
extern const char *const layer_left_out;
