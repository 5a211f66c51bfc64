/* Frames of a hostile peer against the table of streams. Between them this end acts: it opens, sends,
 * passes on, gives up. Claimed: no more than a window is ever held, what was said to be over stays so, and
 * a second table that only counts bytes agrees about credit.
 *
 * The first byte's lowest bit makes it a WebSocket. Then come actions of this end (a byte below 0x80, and
 * the next as its size) and frames (0x80 and a frame). */
#include "common/base/error.h"
#include "common/proto/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model {
	struct stream s;
	uint64_t held;     /* taken and not passed on */
	uint64_t came;     /* cost of all that was accepted, thrown away or not */
	uint64_t given;    /* credit given back */
	uint64_t sent;     /* cost of what this end sent */
	uint64_t returned; /* credit that the peer gave back */
	bool in_over;
	bool out_over;
};

static void act(struct model *m, uint8_t action, size_t n)
{
	n *= 257;
	switch (action & 3) {
	case 0:
		(void)stream_open((action & 4) != 0 ? &m->s.in : &m->s.out);
		break;
	case 1:
		n = n < stream_room(&m->s) ? n : stream_room(&m->s);
		if (stream_may_send(&m->s, n)) {
			invariant(!m->out_over);
			stream_sent(&m->s, n, (action & 4) != 0);
			m->sent += n + FRAME_HEADER_SIZE;
		}
		break;
	case 2:
		n = n + FRAME_HEADER_SIZE < m->held ? n : (size_t)m->held;
		if (n >= FRAME_HEADER_SIZE) {
			m->held -= n;
			m->given += stream_passed_on(&m->s, n);
		}
		break;
	case 3:
		if ((action & 4) != 0) {
			stream_drop(&m->s);
		}
		break;
	}
}

static bool take(struct model *m, const struct frame *f)
{
	const char *why = NULL;
	struct stream before = m->s;
	enum stream_verdict v = stream_receive(&m->s, f, &why);
	if (v == STREAM_VIOLATION) {
		invariant(why != NULL);
		return false;
	}
	if (f->type == MSG_DATA) {
		invariant(before.in.state == STREAM_OPEN || before.in.state == STREAM_DROPPED);
		invariant(v == (before.in.state == STREAM_OPEN ? STREAM_TAKE : STREAM_IGNORE));
		m->came += f->payload.n + FRAME_HEADER_SIZE;
		m->held += v == STREAM_TAKE ? f->payload.n + FRAME_HEADER_SIZE : 0;
	} else if (f->type == MSG_CREDIT) {
		m->returned += get_u32(f->payload.p);
	}
	return true;
}

static void check(struct model *m)
{
	const struct stream *s = &m->s;
	invariant(m->held <= STREAM_WINDOW);
	invariant(m->came <= STREAM_WINDOW + m->given);
	invariant(m->returned <= m->sent);
	if (s->in.state != STREAM_NONE && m->came > 0) {
		invariant(s->in.credit == STREAM_WINDOW + m->given - m->came);
	}
	if (m->sent > 0) {
		invariant(s->out.credit == STREAM_WINDOW + m->returned - m->sent);
	}
	/* An end is one. */
	invariant(!m->in_over || s->in.state == STREAM_ENDED || s->in.state == STREAM_CUT);
	invariant(!m->out_over || s->out.state >= STREAM_ENDED);
	m->in_over = s->in.state == STREAM_ENDED || s->in.state == STREAM_CUT;
	m->out_over = s->out.state >= STREAM_ENDED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct model m = { 0 };
	if (in.n == 0) {
		return 0;
	}
	m.s.messages = (in.p[0] & 1) != 0;
	in = slice_skip(in, 1);
	while (in.n >= 2) {
		if (in.p[0] < 0x80) {
			act(&m, in.p[0], in.p[1]);
			in = slice_skip(in, 2);
		} else {
			struct frame f;
			in = slice_skip(in, 1);
			if (frame_decode(&in, &f) != FRAME_OK ||
				message_violation(&f, FROM_WORKER) != NULL || !take(&m, &f)) {
				break;
			}
		}
		check(&m);
	}
	return 0;
}
