/* The end of the director, step by step: nothing that was accepted is dropped. Loop thread. */
#pragma once

struct director;

/**
 * Stops accepting, lets what runs end, then closes module after module. The loop ends when all is
 * closed. The first call begins; a second one does not wait for requests any more.
 */
void director_stop(struct director *d);

/** A worker is gone: the last one may be what the stop waits for. */
void director_on_worker_gone(struct director *d);

/** What the stop waits for takes too long: it is cut off. */
void director_on_drain_timer(void *director);

/** Frees what needs no closing; after the loop has ended. */
void director_free(struct director *d);
