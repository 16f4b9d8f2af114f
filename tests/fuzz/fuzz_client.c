/* fuzz_client.c: a client of the core against a server that says anything at all.
 *
 * The input is a list of steps: one byte what to do, and what that needs. Mostly: bytes from the server. The client's owner
 * accepts any CONNACK, takes messages in batches, publishes, loses its connection and makes another; its session lives as long as
 * the run. Beside it a local session is subscribed to everything, for the times when messages are routed.
 * Checked beyond memory: what leaves is a sequence of packets that a client may send, and nothing after DISCONNECT; a
 * batch lies within its bytes, is as long as it may be, and holds what a PUBLISH may hold; nothing is left at the end.
 */
#include <string.h>
#include "callbacks.h"
#include "client.h"
#include "input.h"
#include "wire.h"

#define STEPS_MAX 512

typedef struct world {
	mq_core *core;
	mq_conn *c;
	mq_session *own, *local;
	mq_terms terms;
	int64_t now;
	uint32_t batch_max;
	uint8_t head[5]; /* of the frame of output that is under way */
	size_t head_n;
	uint32_t missing;
	uint8_t stop, hang_up, trace, routes, up, said; /* said: DISCONNECT */
} world;

static void hang_up(world *w) {
	if (w->c) mq_conn_close(w->c);
	w->c = NULL;
	w->head_n = w->missing = w->up = w->said = 0;
}

/* ---- output ---------------------------------------------------------------------------------------------------------- */

static void check_first(world *w, uint8_t first) {
	MUST(!w->said);
	switch (first >> 4) {
	case MQ_PUBLISH: MUST((first & 6) != 6 && (first & 14) != 8 && !(first & 1 && w->terms.no_retain)); break;
	case MQ_PUBREL: MUST((first & 15) == 2); break;
	case MQ_PUBACK:
	case MQ_PUBREC:
	case MQ_PUBCOMP: MUST((first & 15) == 0); break;
	case MQ_DISCONNECT: w->said = 1; break;
	default: MUST(!"a packet that is sent here");
	}
}

static void check_output(world *w, const uint8_t *p, size_t n) {
	while (n) {
		if (w->missing) {
			size_t skip = n < w->missing ? n : w->missing;

			w->missing -= (uint32_t)skip;
			p += skip;
			n -= skip;
			continue;
		}
		MUST(w->head_n < sizeof w->head);
		w->head[w->head_n++] = *p++;
		n--;
		if (mq_varint_get_strict(w->head + 1, w->head_n - 1, &w->missing) > 0) {
			check_first(w, w->head[0]);
			w->head_n = 0;
		}
	}
}

static void drain(world *w) {
	const uint8_t *data;
	size_t n;

	while (w->c && (n = mq_conn_output(w->c, &data))) {
		check_output(w, data, n);
		mq_conn_consumed(w->c, n);
	}
	if (w->c) MUST(!w->missing && !w->head_n && !mq_client_unsent(w->c));
}

/* ---- callbacks ------------------------------------------------------------------------------------------------------- */

int mq_on_packet(void *user, uint32_t owner, uint8_t first, const uint8_t *body, size_t n) {
	world *w = user;
	uint8_t type = first >> 4;

	MUST(owner == 7 && w->c && !w->said);
	MUST(type == MQ_CONNACK || type == MQ_PUBACK || type == MQ_PUBREC || type == MQ_PUBCOMP || type == MQ_SUBACK ||
		 type == MQ_UNSUBACK || type == MQ_PINGRESP || type == MQ_DISCONNECT || type == MQ_AUTH);
	if (type == MQ_CONNACK && !w->up) {
		if (n && !body[0]) mq_client_forget(w->own);
		mq_conn_accept(w->c, w->own, &w->terms);
		mq_conn_resume(w->c);
		w->up = 1;
	} else if (type == MQ_DISCONNECT || type == MQ_CONNACK || w->hang_up) {
		hang_up(w);
	}
	return w->stop;
}

int mq_on_messages(
	void *user, uint32_t owner, const uint8_t *bytes, size_t bytes_n, const struct mq_received *received, size_t n) {
	world *w = user;
	static uint8_t lines[1 << 20];

	MUST(owner == 7 && w->c && w->up && !w->routes && n);
	if (w->trace) MUST(n == 1);
	if (w->batch_max) MUST(n <= w->batch_max);
	for (size_t i = 0; i < n; i++) {
		const mq_received *m = &received[i];
		MUST(m->first >> 4 == MQ_PUBLISH && (m->first & 6) != 6 && !(m->first & 6) == !m->mid && m->topic_n);
		MUST((uint64_t)m->at + m->topic_n + m->properties_n + m->payload_n <= bytes_n);
		MUST(mq_topic_valid(bytes + m->at, m->topic_n));
		size_t count;
		uint32_t bad;
		MUST(!mq_properties_walk(MQ_IN_DELIVERY, bytes + m->at + m->topic_n, m->properties_n, NULL, 0, &count, &bad));
	}
	if (bytes_n + 8 * n <= sizeof lines)
		for (int how = 0; how < 4; how++) MUST(mq_received_lines(bytes, received, n, how & 1, how & 2, lines) <= bytes_n + 8 * n);
	if (w->hang_up) hang_up(w);
	return w->stop;
}

int mq_on_control(void *user, uint32_t owner, uint8_t qos, uint16_t mid, const uint8_t *topic, size_t topic_n,
	const uint8_t *payload, size_t payload_n) {
	MUST(!"asked of a client");
	return 1;
}

void mq_on_output(void *user, uint32_t owner, int error) { MUST(owner == 7 && !error); }
void mq_on_notice(void *user, int notice, const uint8_t *client_id, size_t n, uint32_t value) { MUST(user); }

int mq_on_access(void *user, const uint8_t *client_id, size_t n, int access, const uint8_t *topic, size_t topic_n,
	const uint8_t *payload, size_t payload_n, uint8_t qos, int retain) {
	MUST(!"asked of an open session");
	return MQ_NONE;
}

int mq_on_source(void *user, const uint8_t *client_id, size_t n, const uint8_t *username, int username_n, uint16_t port,
	const uint8_t *topic, size_t topic_n) {
	MUST(!"asked without check_retain_source");
	return MQ_NONE;
}

void mq_on_trace(void *user, int sent, const uint8_t *client_id, size_t id_n, uint8_t first, uint16_t mid, int rc,
	const uint8_t *topic, size_t topic_n, uint32_t payload_n, int verdict) {
	uint32_t sum = 0;

	for (size_t i = 0; i < topic_n; i++) sum += topic[i]; /* the bytes must be there */
	MUST(sum <= 255 * topic_n && verdict == MQ_TRACE_PLAIN);
}

/* ---- steps ----------------------------------------------------------------------------------------------------------- */

/* flags: version, limits of both ends. */
static void dial(world *w, uint8_t flags) {
	hang_up(w);
	uint8_t version = (uint8_t)(3 + flags % 3);
	w->terms = (mq_terms){.version = version,
		.max_qos = flags & 0x08 ? 1 : 2,
		.alias_max_in = flags & 0x10 ? 2 : 0,
		.alias_chosen = flags & 0x20 ? 3 : 0,
		.receive_max = flags & 0x40 ? 2 : 20,
		.max_packet_out = flags & 0x80 && version == 5 ? 40 : 0,
		.no_retain = flags & 0x04};
	w->c = mq_client_new(w->core, -1, 7, version, flags & 0x20 ? 200 : 0, flags & 0x40 ? 1 : 0);
	if (!w->c) return;
	mq_client_batch(w->c, w->batch_max);
	mq_client_route(w->c, w->routes);
}

static void feed(world *w, input piece) {
	if (!w->c) return;
	int status = mq_conn_feed(w->c, piece.p, piece.n);
	if (status > MQ_PAUSED && (status != MQ_STOPPED || !w->stop)) hang_up(w);
}

static void feed_repeated(world *w, uint8_t byte, uint16_t n) {
	static uint8_t bytes[UINT16_MAX];

	memset(bytes, byte, n);
	feed(w, (input){bytes, n});
}

static void publish(world *w, input *in) {
	static const uint8_t topics[] = "a/b", properties[] = "\x03\0\1t";
	uint8_t flags = take_byte(in);
	int v5 = w->terms.version == 5;
	mq_outgoing how = {
		topics, properties, flags & 0x10 ? 1 : 3, v5 && flags & 0x20 ? 4 : 0, v5 ? flags >> 6 : 0, flags % 3, flags >> 3 & 1};
	input payload = take_piece(in, take_two_bytes(in));
	uint32_t before = mq_client_pending(w->own);
	size_t count;
	uint16_t mid;
	int status;

	if (w->said) return;
	if (!(flags & 4)) {
		status = mq_client_publish(w->own, &how, payload.p, payload.n, &mid);
		MUST(mq_client_pending(w->own) - before == (status == MQ_OK && how.qos));
		return;
	}
	size_t done = mq_client_lines(w->own, &how, payload.p, payload.n, flags & 0x10, &count, &status);
	MUST(done <= payload.n && count <= done && (status || done == payload.n || !mq_client_room(w->own) || !(flags & 0x10)));
	MUST(mq_client_pending(w->own) - before <= count);
}

static void configure(world *w, input *in) {
	uint8_t memory = take_byte(in), flags = take_byte(in);

	mq_core_options(w->core)->memory_limit = memory ? mq_core_stats(w->core)->heap + memory * 64u : 0;
	w->trace = flags & 1;
	mq_core_trace(w->core, w->trace);
	w->stop = flags >> 1 & 1;
	w->hang_up = flags >> 2 & 1;
	w->routes = flags >> 3 & 1;
	w->batch_max = flags >> 4 & 3;
	if (!w->c) return;
	mq_client_batch(w->c, w->batch_max);
	mq_client_route(w->c, w->routes);
}

static void goodbye(world *w) {
	if (!w->c || w->said) return;
	if (mq_conn_send(w->c, (const uint8_t *)"\xe0\0", 2)) {
		hang_up(w);
		return;
	}
	mq_client_ended(w->c);
}

static void step(world *w, input *in) {
	uint8_t what = take_byte(in);

	switch (what & 7) {
	default: feed(w, take_piece(in, take_two_bytes(in))); break;
	case 2: feed_repeated(w, take_byte(in), take_two_bytes(in)); break;
	case 3: publish(w, in); break;
	case 4: dial(w, take_byte(in)); break;
	case 5: configure(w, in); break;
	case 6: goodbye(w); break;
	case 7: mq_core_clock(w->core, (double)++w->now, (double)w->now); break;
	}
	if (w->c) MUST(mq_client_quiet(w->c) <= STEPS_MAX);
	mq_core_flush(w->core);
	drain(w);
	mq_core_reap(w->core);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	world w = {.now = 1000};
	input in = {data, n};

	w.core = mq_core_new(&w);
	MUST(w.core);
	*mq_core_options(w.core) = (mq_options){.retain_available = 1, .allow_duplicate_messages = 1};
	mq_core_clock(w.core, (double)w.now, (double)w.now);
	w.own = mq_session_new(w.core, (const uint8_t *)"own", 3);
	w.local = mq_session_new(w.core, (const uint8_t *)"local", 5);
	MUST(w.own && w.local);
	mq_session_durable(w.local, 1);
	MUST(mq_subscribe(w.local, (const uint8_t *)"#", 1, 2, 0) == MQ_OK);
	dial(&w, 1);
	for (int i = 0; in.n && i < STEPS_MAX; i++) step(&w, &in);
	hang_up(&w);
	mq_session_free(w.own);
	mq_session_free(w.local);
	mq_core_reap(w.core);
	const mq_stats *stats = mq_core_stats(w.core);
	MUST(!stats->subscriptions && !stats->out_packets && !stats->out_bytes && stats->stored == stats->retained);
	mq_core_free(w.core);
	return 0;
}
