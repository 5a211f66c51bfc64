/*
 * The stream that a call may have beside its frames of work: a body in pieces, or a WebSocket. Both ends
 * keep one of these per call and ask it about every frame, so that neither can be made to hold more than
 * a window of the other's bytes.
 *
 *   half      opened by                            closed by
 *   request   EXECUTE with WORK_BODY or WORK_SOCKET  DATA with DATA_LAST, RESET, the call's end
 *   answer    RESULT_HEAD                            DATA with DATA_LAST, RESET, the call's end
 *
 * A half as one end sees it:
 *
 *   NONE --open--> OPEN --last--> ENDED            nothing follows
 *                   |  \--we gave it up--> DROPPED  what is on its way is thrown away
 *                   \--RESET came--> CUT            nothing follows
 *
 * Credit is counted in bytes of frames, header included, so that empty pieces cost something too. A half
 * begins with STREAM_WINDOW; the receiver gives back what it has passed on, and never more than that.
 * The RESULT still ends the call, streams or not.
 *
 * Pure: no I/O, no memory, no clock.
 */
#pragma once

#include "common/proto/messages.h"

enum {
	/* Bytes of a half that may be on their way or waiting. */
	STREAM_WINDOW = 256 * 1024,
	/* Bytes of one piece. */
	STREAM_PIECE_MAX = 65536,
	/* What is passed on is given back in portions of this size. */
	STREAM_CREDIT_STEP = STREAM_WINDOW / 4,
};

enum stream_state {
	STREAM_NONE,
	STREAM_OPEN,
	STREAM_ENDED,
	STREAM_DROPPED,
	STREAM_CUT,
	STREAM_STATES,
};

/* What happens to a half. */
enum stream_event {
	STREAM_DOES_OPEN,
	STREAM_DOES_DATA,
	STREAM_DOES_LAST,
	STREAM_DOES_CREDIT, /* for the half that it is given for */
	STREAM_DOES_DROP,   /* this end gives it up */
	STREAM_DOES_RESET,  /* the other end did */
	STREAM_EVENTS,
};

struct stream_half {
	uint8_t state;   /* enum stream_state */
	bool opened;     /* once, whatever came after it */
	uint32_t credit; /* bytes that may still be sent */
	uint32_t owed;   /* receiving: passed on, not given back yet */
};

struct stream {
	struct stream_half in;  /* what this end receives */
	struct stream_half out; /* what it sends */
	bool messages;          /* a WebSocket: DATA_MORE and DATA_TEXT have a meaning */
};

enum stream_verdict {
	STREAM_TAKE,      /* it counts */
	STREAM_IGNORE,    /* it crossed something: throw it away */
	STREAM_VIOLATION, /* the other end may not send that: see *ret_why */
};

/** Opens a half. @return false when it was open before. */
bool stream_open(struct stream_half *h);

/** A frame of the stream has come: RESULT_HEAD, DATA, CREDIT or RESET, checked against the message table.
 * @param ret_why what is wrong with it, for the log; only with STREAM_VIOLATION. */
enum stream_verdict stream_receive(struct stream *s, const struct frame *f, const char **ret_why);

/** Bytes of a piece that may be sent now; 0 when one has to wait. An empty piece may be sent when it is
 * allowed: see stream_may_send(). */
size_t stream_room(const struct stream *s);

/** True when a piece of `n` bytes may be sent now. */
bool stream_may_send(const struct stream *s, size_t n);

/** A piece was sent; stream_may_send() has allowed it. */
void stream_sent(struct stream *s, size_t n, bool last);

/** What a piece of `n` bytes costs of the credit. */
static inline size_t stream_cost(size_t n)
{
	return n + FRAME_HEADER_SIZE;
}

/** Pieces that came are passed on.
 * @param cost of all of them.
 * @return the credit to give back now with a CREDIT frame, or 0. */
uint32_t stream_passed_on(struct stream *s, size_t cost);

/** This end gives both halves up; what still comes is ignored. */
void stream_drop(struct stream *s);

/** True while a half is open. */
bool stream_is_open(const struct stream *s);

/** "open" and so on, for tests and logs. */
const char *stream_state_name(enum stream_state state);
