#include "client.h"
#include <string.h>
#include "batch.h"
#include "callbacks.h"
#include "conn.h"
#include "deliver.h"
#include "mem.h"
#include "route.h"
#include "session.h"
#include "wire.h"

/* A batch beyond this many bytes leaves at once; the arrays of one that grew beyond it are not kept. */
#define BATCH_MAX 262144u
/* What may wait in the queue (messages, bytes of payload) and for the socket (bytes) before mq_client_room says no. */
#define QUEUE_MAX 10000u
#define QUEUE_BYTES_MAX (32u << 20)
#define UNSENT_MAX (1u << 20)
/* What mq_client_lines does at most in one call, so that the output leaves and acknowledgements are read in between. */
#define LINES_MAX 4096u

/* ---- life ---- */

mq_conn *mq_client_new(mq_core *core, int fd, uint32_t owner, uint8_t version, uint32_t max_packet, uint32_t receive_max) {
	mq_conn *c = mq_conn_make(core, sizeof(mq_client_conn), fd, owner);
	if (!c) return NULL;
	mq_conn_unwatched(c);
	mq_conn_begin(c, version);
	c->role = MQ_CLIENT;
	c->hand_up = 1;
	mq_client_of(c)->max_packet = max_packet;
	mq_client_of(c)->receive_max = receive_max;
	mq_client_of(c)->last_out = c->last_in;
	return c;
}

void mq_client_route(mq_conn *c, int on) { c->hand_up = !on; }
void mq_client_batch(mq_conn *c, uint32_t max) { mq_client_of(c)->batch_max = max; }

void mq_client_ended(mq_conn *c) {
	c->ended = 1;
	if (c->session) c->session->conn = NULL;
	c->session = NULL;
}

void mq_client_forget(mq_session *s) {
	while (s->flow && s->flow->inbound.head) mq_session_release(s, s->flow->inbound.head);
}

uint32_t mq_client_quiet(const mq_conn *c) {
	int64_t in = c->core->mono - c->last_in, out = c->core->mono - mq_client_of(c)->last_out, most = in > out ? in : out;
	return most > 0 ? (uint32_t)most : 0;
}

uint16_t mq_client_next_mid(mq_session *s) { return mq_session_next_mid(s); }
uint64_t mq_client_unsent(const mq_conn *c) { return c->out.bytes; }

/* ---- publishing ---- */

uint32_t mq_client_pending(const mq_session *s) { return s->flow ? s->flow->flight.n + s->flow->queue.n : 0; }

uint32_t mq_client_room(const mq_session *s) {
	uint32_t queued = s->flow ? s->flow->queue.n : 0;
	if (queued && s->flow->queue.bytes >= QUEUE_BYTES_MAX) return 0;
	if (s->conn && s->conn->out.bytes >= UNSENT_MAX && mq_conn_blocked(s->conn)) return 0;
	return queued < QUEUE_MAX ? QUEUE_MAX - queued : 0;
}

/* The remaining length of the PUBLISH, with its topic: the first on a connection has it, whatever its alias. */
static uint64_t length_of(const mq_session *s, const mq_outgoing *how, size_t payload_n) {
	uint32_t properties_n = how->properties_n + (how->alias ? 3 : 0);
	uint64_t n = 2 + how->topic_n + (how->qos ? 2 : 0) + payload_n;
	return s->version == 5 ? n + mq_varint_size(properties_n) + properties_n : n;
}

/* Larger than MQTT allows, or the server, as far as it has said so by now. */
static int oversize(const mq_conn *c, uint64_t n) {
	if (n > MQ_VARINT_MAX) return 1;
	return c && c->terms.max_packet_out && 1 + mq_varint_size((uint32_t)n) + n > c->terms.max_packet_out;
}

int mq_client_publish(mq_session *s, const mq_outgoing *how, const uint8_t *payload, size_t n, uint16_t *mid) {
	mq_conn *c = s->conn;
	*mid = 0;
	uint64_t length = length_of(s, how, n);
	if (oversize(c, length)) {
		uint32_t shown = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;
		mq_on_notice(s->core->user, MQ_NOTICE_TOO_LARGE, s->client_id, s->client_id_n, shown);
		return MQ_OVERSIZE;
	}
	mq_view view = {.topic = how->topic,
		.topic_n = how->topic_n,
		.properties = how->properties,
		.properties_n = how->properties_n,
		.payload = payload,
		.payload_n = (uint32_t)n,
		.qos = how->qos,
		.retain = how->retain};
	int status = MQ_OK;
	if (how->qos) {
		uint64_t dropped = s->core->stats.publish_dropped;
		mq_session_offer(s, (mq_offer){&view, how->alias, how->qos, how->retain});
		if (s->core->stats.publish_dropped != dropped) status = MQ_NOMEM;
		else *mid = s->flow->last_mid;
	} else {
		*mid = mq_session_next_mid(s);
		status = c ? mq_deliver(c, &view, (mq_sending){.id = how->alias, .mid = *mid, .retain = how->retain}) : MQ_NONE;
	}
	mq_view_done(s->core, &view);
	return status;
}

size_t mq_client_lines(
	mq_session *s, const mq_outgoing *how, const uint8_t *data, size_t n, int last, size_t *count, int *status) {
	size_t done = 0;
	uint16_t mid;
	*count = 0;
	*status = MQ_OK;
	while (done < n && *count < LINES_MAX && mq_client_room(s)) {
		const uint8_t *line = data + done, *end = memchr(line, '\n', n - done);
		if (!end && !last) break;
		size_t line_n = end ? (size_t)(end - line) : n - done;
		*status = mq_client_publish(s, how, line, line_n, &mid);
		if (*status == MQ_NONE) *status = MQ_OK; /* not connected: QoS 0 is lost */
		if (*status) break;
		done += line_n + (end ? 1 : 0);
		++*count;
	}
	return done;
}

/* ---- what came ---- */

struct mq_batch {
	uint8_t *bytes;
	mq_received *received;
	size_t bytes_n, bytes_room, n, room;
};

static int grow(mq_core *core, void **at, size_t *room, size_t need, size_t size) {
	size_t more = *room * 2 > need ? *room * 2 : need;
	if (need <= *room) return MQ_OK;
	void *p = mq_resize(core, *at, more * size);
	if (!p) return MQ_NOMEM;
	*at = p;
	*room = more;
	return MQ_OK;
}

int mq_batch_add(mq_core *core, const mq_view *v, uint8_t first, uint16_t mid) {
	struct mq_batch *b = core->batch;
	if (!b && !(b = core->batch = mq_zalloc(core, sizeof *b))) return MQ_NOMEM;
	size_t n = (size_t)v->topic_n + v->properties_n + v->payload_n;
	if (grow(core, (void **)&b->bytes, &b->bytes_room, b->bytes_n + n, 1)) return MQ_NOMEM;
	if (grow(core, (void **)&b->received, &b->room, b->n + 1, sizeof *b->received)) return MQ_NOMEM;
	b->received[b->n++] = (mq_received){(uint32_t)b->bytes_n, v->topic_n, v->properties_n, v->payload_n, mid, first};
	uint8_t *p = mq_put(b->bytes + b->bytes_n, v->topic, v->topic_n);
	if (v->properties_n) p = mq_put(p, v->properties, v->properties_n);
	if (v->payload_n) mq_put(p, v->payload, v->payload_n);
	b->bytes_n += n;
	return MQ_OK;
}

int mq_batch_ripe(const mq_conn *c) {
	const struct mq_batch *b = c->core->batch;
	uint32_t max = mq_client_of(c)->batch_max;
	return b && b->n && (c->core->trace || b->bytes_n >= BATCH_MAX || (max && b->n >= max));
}

static void batch_free(mq_core *core, struct mq_batch *b) {
	if (!b) return;
	mq_release(core, b->bytes);
	mq_release(core, b->received);
	mq_release(core, b);
}

void mq_batch_free(mq_core *core) {
	batch_free(core, core->batch);
	core->batch = NULL;
}

/* While the batch is away nobody else can reach it, so what its receiver calls may well start another. */
int mq_batch_flush(mq_conn *c) {
	mq_core *core = c->core;
	struct mq_batch *b = core->batch;
	if (!b || !b->n) return 0;
	core->batch = NULL;
	mq_conn_flush_early(c); /* acknowledged, then delivered: the receiver may take its time */
	int stop = mq_on_messages(core->user, c->owner, b->bytes, b->bytes_n, b->received, b->n);
	b->n = b->bytes_n = 0;
	if (core->batch || b->bytes_room > BATCH_MAX) batch_free(core, b);
	else core->batch = b;
	return stop;
}

/* ---- the usual output ---- */

static uint8_t *put_line(uint8_t *o, const uint8_t *bytes, const mq_received *m, int topics, int newline) {
	static const char null[] = "(null)";
	if (!m->payload_n && !(topics && newline)) return o;
	if (topics) {
		o = mq_put(o, bytes + m->at, m->topic_n);
		*o++ = ' ';
	}
	if (m->payload_n) o = mq_put(o, bytes + m->at + m->topic_n + m->properties_n, m->payload_n);
	else o = mq_put(o, null, sizeof null - 1);
	if (newline) *o++ = '\n';
	return o;
}

size_t mq_received_lines(const uint8_t *bytes, const mq_received *received, size_t n, int topics, int newline, uint8_t *out) {
	uint8_t *o = out;
	for (size_t i = 0; i < n; i++) o = put_line(o, bytes, &received[i], topics, newline);
	return (size_t)(o - out);
}
