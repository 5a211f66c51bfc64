#include "common/proto/stream.h"

#include "common/base/error.h"

/* What a half does in a state: the next state and whether the event may come from the other end. */
struct step {
	uint8_t verdict;
	uint8_t next;
	const char *why;
};

#define TAKE(to)                               \
	{                                      \
		STREAM_TAKE, STREAM_##to, NULL \
	}
#define IGNORE(to)                               \
	{                                        \
		STREAM_IGNORE, STREAM_##to, NULL \
	}
#define REFUSE(why)                      \
	{                                \
		STREAM_VIOLATION, 0, why \
	}

static const struct step steps[STREAM_STATES][STREAM_EVENTS] = {
	[STREAM_NONE] = {
		[STREAM_DOES_OPEN] = TAKE(OPEN),
		[STREAM_DOES_DATA] = REFUSE("DATA of a stream that is not open"),
		[STREAM_DOES_LAST] = REFUSE("DATA of a stream that is not open"),
		[STREAM_DOES_CREDIT] = REFUSE("CREDIT for a stream that is not open"),
		/* Dropped before it was opened: what opens it later has crossed that. */
		[STREAM_DOES_DROP] = IGNORE(DROPPED),
		[STREAM_DOES_RESET] = REFUSE("RESET of a stream that is not open"),
	},
	[STREAM_OPEN] = {
		[STREAM_DOES_OPEN] = REFUSE("a second RESULT_HEAD"),
		[STREAM_DOES_DATA] = TAKE(OPEN),
		[STREAM_DOES_LAST] = TAKE(ENDED),
		[STREAM_DOES_CREDIT] = TAKE(OPEN),
		[STREAM_DOES_DROP] = IGNORE(DROPPED),
		[STREAM_DOES_RESET] = TAKE(CUT),
	},
	[STREAM_ENDED] = {
		[STREAM_DOES_OPEN] = REFUSE("a second RESULT_HEAD"),
		[STREAM_DOES_DATA] = REFUSE("DATA after the end of a stream"),
		[STREAM_DOES_LAST] = REFUSE("DATA after the end of a stream"),
		/* For the last pieces. */
		[STREAM_DOES_CREDIT] = IGNORE(ENDED),
		[STREAM_DOES_DROP] = IGNORE(ENDED),
		[STREAM_DOES_RESET] = IGNORE(ENDED),
	},
	[STREAM_DROPPED] = {
		[STREAM_DOES_OPEN] = IGNORE(DROPPED),
		[STREAM_DOES_DATA] = IGNORE(DROPPED),
		[STREAM_DOES_LAST] = IGNORE(ENDED),
		[STREAM_DOES_CREDIT] = IGNORE(DROPPED),
		[STREAM_DOES_DROP] = IGNORE(DROPPED),
		[STREAM_DOES_RESET] = IGNORE(CUT),
	},
	[STREAM_CUT] = {
		[STREAM_DOES_OPEN] = REFUSE("RESULT_HEAD after RESET"),
		[STREAM_DOES_DATA] = REFUSE("DATA after RESET"),
		[STREAM_DOES_LAST] = REFUSE("DATA after RESET"),
		[STREAM_DOES_CREDIT] = REFUSE("CREDIT after RESET"),
		[STREAM_DOES_DROP] = IGNORE(CUT),
		[STREAM_DOES_RESET] = REFUSE("a second RESET"),
	},
};

static enum stream_verdict refuse(const char *why, const char **ret_why)
{
	*ret_why = why;
	return STREAM_VIOLATION;
}

static enum stream_verdict move(
	struct stream_half *h, enum stream_event event, const char **ret_why)
{
	const struct step *step = &steps[h->state][event];
	if (step->verdict == STREAM_VIOLATION) {
		return refuse(step->why, ret_why);
	}
	if (event == STREAM_DOES_OPEN) {
		if (h->opened) {
			return refuse("a second RESULT_HEAD", ret_why);
		}
		h->opened = true;
		h->credit = STREAM_WINDOW;
	}
	h->state = step->next;
	return (enum stream_verdict)step->verdict;
}

bool stream_open(struct stream_half *h)
{
	const char *why;
	return move(h, STREAM_DOES_OPEN, &why) == STREAM_TAKE;
}

static enum stream_verdict receive_data(
	struct stream *s, const struct frame *f, const char **ret_why)
{
	bool last = (f->flags & DATA_LAST) != 0;
	if (!s->messages && (f->flags & (DATA_MORE | DATA_TEXT)) != 0) {
		return refuse("DATA with flags of a message in a body", ret_why);
	}
	if (!s->messages && !last && f->payload.n == 0) {
		return refuse("an empty piece of a body", ret_why);
	}
	enum stream_verdict v = move(&s->in, last ? STREAM_DOES_LAST : STREAM_DOES_DATA, ret_why);
	if (v == STREAM_VIOLATION) {
		return v;
	}
	if (stream_cost(f->payload.n) > s->in.credit) {
		return refuse("DATA without credit", ret_why);
	}
	s->in.credit -= (uint32_t)stream_cost(f->payload.n);
	return v;
}

static enum stream_verdict receive_credit(
	struct stream *s, const struct frame *f, const char **ret_why)
{
	struct msg_credit m;
	if (!msg_credit_decode(f->payload, &m) || m.bytes == 0) {
		return refuse("a malformed CREDIT", ret_why);
	}
	enum stream_verdict v = move(&s->out, STREAM_DOES_CREDIT, ret_why);
	if (v == STREAM_VIOLATION) {
		return v;
	}
	if (m.bytes > STREAM_WINDOW - s->out.credit) {
		return refuse("CREDIT for more than was sent", ret_why);
	}
	s->out.credit += m.bytes;
	return v;
}

/* One RESET is for both halves. */
static enum stream_verdict receive_reset(struct stream *s, const char **ret_why)
{
	if (s->in.state == STREAM_NONE && s->out.state == STREAM_NONE) {
		return refuse("RESET of a stream that is not open", ret_why);
	}
	if (s->in.state == STREAM_CUT || s->out.state == STREAM_CUT) {
		return refuse("a second RESET", ret_why);
	}
	bool taken = false;
	struct stream_half *const halves[] = { &s->in, &s->out };
	for (size_t i = 0; i < 2; i++) {
		if (halves[i]->state == STREAM_NONE) {
			halves[i]->state = STREAM_CUT;
		} else {
			taken |= move(halves[i], STREAM_DOES_RESET, ret_why) == STREAM_TAKE;
		}
	}
	return taken ? STREAM_TAKE : STREAM_IGNORE;
}

enum stream_verdict stream_receive(struct stream *s, const struct frame *f, const char **ret_why)
{
	switch (f->type) {
	case MSG_RESULT_HEAD:
		return move(&s->in, STREAM_DOES_OPEN, ret_why);
	case MSG_DATA:
		return receive_data(s, f, ret_why);
	case MSG_CREDIT:
		return receive_credit(s, f, ret_why);
	case MSG_RESET:
		return receive_reset(s, ret_why);
	default:
		return refuse("no frame of a stream", ret_why);
	}
}

size_t stream_room(const struct stream *s)
{
	if (s->out.state != STREAM_OPEN || s->out.credit <= FRAME_HEADER_SIZE) {
		return 0;
	}
	size_t room = s->out.credit - FRAME_HEADER_SIZE;
	return room < STREAM_PIECE_MAX ? room : STREAM_PIECE_MAX;
}

bool stream_may_send(const struct stream *s, size_t n)
{
	return s->out.state == STREAM_OPEN && n <= STREAM_PIECE_MAX &&
		stream_cost(n) <= s->out.credit;
}

void stream_sent(struct stream *s, size_t n, bool last)
{
	invariant(stream_may_send(s, n));
	s->out.credit -= (uint32_t)stream_cost(n);
	s->out.state = steps[STREAM_OPEN][last ? STREAM_DOES_LAST : STREAM_DOES_DATA].next;
}

uint32_t stream_passed_on(struct stream *s, size_t cost)
{
	s->in.owed += (uint32_t)cost;
	if (s->in.state != STREAM_OPEN || s->in.owed < STREAM_CREDIT_STEP) {
		return 0;
	}
	uint32_t credit = s->in.owed;
	s->in.owed = 0;
	s->in.credit += credit;
	invariant(s->in.credit <= STREAM_WINDOW);
	return credit;
}

void stream_drop(struct stream *s)
{
	const char *why;
	(void)move(&s->in, STREAM_DOES_DROP, &why);
	(void)move(&s->out, STREAM_DOES_DROP, &why);
}

bool stream_is_open(const struct stream *s)
{
	return s->in.state == STREAM_OPEN || s->out.state == STREAM_OPEN;
}

const char *stream_state_name(enum stream_state state)
{
	static const char *const names[STREAM_STATES] = { "none", "open", "ended", "dropped",
		"cut" };
	return state < STREAM_STATES ? names[state] : "?";
}
