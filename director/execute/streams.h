/*
 * The streams of calls, on their way between a worker's channel and whoever submitted the call. What may
 * come and go says common/proto/stream.h. Loop thread.
 *
 * A call that streams is a running call like any other: it keeps its places in the quotas, is cancelled,
 * drained and counted as one. Its deadline holds to the first byte of its answer, and for a body that is
 * sent to it begins when that is complete; afterwards MOZAIKS_STREAM_IDLE_SECONDS limits the plugin's
 * silence and MOZAIKS_STREAM_MAX_SECONDS the whole.
 */
#pragma once

#include "director/execute/call.h"

struct worker;

/** Before the call is submitted: it has a stream from its start.
 * @param flags WORK_BODY or WORK_SOCKET.
 * @return 0 or -ENOMEM. */
int streams_prepare(struct call *c, uint8_t flags);

/** The call was sent to a worker. */
void streams_started(struct call *c);

/** Bytes that streams_send() takes at most now; 0: `room` follows. */
size_t streams_room(const struct call *c);

/** Sends a piece; flags as in enum data_flag. @return false when it does not fit now: `room` follows. */
bool streams_send(struct call *c, struct slice piece, uint8_t flags);

/** Pieces that came are with the client. @param cost see stream_cost(). */
void streams_passed_on(struct call *c, size_t cost);

/** The other end is told why nothing more follows, and that nothing more is wanted. */
void streams_reset(struct call *c, uint16_t code, const char *reason);

/** Something limits the call anew; after begun, silent, client_owes or beat_ms were set. */
void streams_set_timer(struct call *c);

/** The timer of a running call that has a stream. @return true: its time is over. */
bool streams_on_timer(struct call *c);

/** RESULT_HEAD, DATA, CREDIT or RESET came from a worker. */
void streams_on_frame(struct worker *w, const struct frame *f);
