/* Who is told what: connects the modules that work together in both directions. Loop thread. */
#pragma once

struct director;

/** Once, before anything can happen. */
void director_wire(struct director *d);
