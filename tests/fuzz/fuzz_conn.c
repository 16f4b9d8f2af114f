/* fuzz_conn.c: a whole core, driven as the reactor drives it, by a broker that decides as little as possible.
 *
 * The input is a list of steps: one byte what to do, and what that needs. Mostly: bytes for one of a few connections, the last
 * of which has a socket with little room in it. A step is a turn: at its end output is flushed, the peers read (unless they
 * are deaf), and the dead are reaped. Checked beyond memory and leaks: what leaves is a sequence of packets that a
 * server may send, and the levels of the statistics return to zero.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "callbacks.h"
#include "durable.h"
#include "input.h"
#include "topic.h"
#include "wire.h"

#define CONNS 4
#define SESSIONS 4
#define STEPS_MAX 512
#define PACKET_MAX 80000 /* more than one receive of the core */

typedef struct session {
	mq_session *s;
	int conn; /* index, -1: offline */
	int durable;
} session;

/* One connection and the frame of its output that is under way. */
typedef struct conn {
	mq_conn *c;
	int session; /* index, -1: none */
	int version, paused;
	int fd, peer; /* the two ends of a socket; 0: none */
	uint8_t head[5];
	size_t head_n;
	uint32_t missing; /* bytes of the packet's body still to come */
} conn;

/* What a durable store would hold: which rows, and which messages. */
#define ROWS 65536
typedef struct store {
	int on, late; /* late: commits come only when this is switched off again */
	uint64_t last_row;
	uint8_t rows[ROWS];
	uint64_t ids[ROWS];
	size_t ids_n;
} store;

typedef struct world {
	mq_core *core;
	store *store;
	conn conns[CONNS];
	session sessions[SESSIONS];
	int64_t now;
	uint8_t hold, mute; /* callbacks stop the input; the peers do not read */
} world;

static void hang_up(world *w, int at) {
	conn *c = &w->conns[at];
	session *s = c->session < 0 ? NULL : &w->sessions[c->session];

	if (!c->c) return;
	mq_conn_final(c->c);
	mq_conn_close(c->c);
	if (c->fd) {
		close(c->fd);
		close(c->peer);
	}
	*c = (conn){.session = -1};
	if (!s) return;
	s->conn = -1;
	if (!s->durable) {
		mq_session_free(s->s);
		s->s = NULL;
	}
}

/* ---- the broker ------------------------------------------------------------------------------------------------------ */

/* The session of a client identifier, which is told by its last byte. */
static session *session_of(world *w, const uint8_t *id, size_t n, int clean) {
	session *s = &w->sessions[n ? id[n - 1] % SESSIONS : 0];

	if (s->conn >= 0 && s->s) hang_up(w, s->conn);
	if (s->s && clean) {
		mq_session_free(s->s);
		s->s = NULL;
	}
	if (!s->s) s->s = mq_session_new(w->core, id, n);
	s->conn = -1;
	return s->s ? s : NULL;
}

static int in_connect(world *w, int at, const uint8_t *p, size_t n) {
	conn *c = &w->conns[at];
	mq_terms terms = {.max_qos = 2, .alias_max_in = 10};
	uint32_t list_n = 0;

	if (c->session >= 0 || n < 12) /* the name is taken to have four bytes */
		return 1;
	terms.version = p[6];
	terms.bridge = p[7] & 1;
	terms.keepalive = mq_get16(p + 8);
	if (terms.version < 3 || terms.version > 5) return 1;
	int clean = p[7] & 2;
	p += 10;
	n -= 10;
	if (terms.version == 5) {
		mq_property found[8];
		size_t count;
		uint32_t bad;
		int used = mq_varint_get_strict(p, n, &list_n);

		if (used <= 0 || list_n > n - (size_t)used) return 1;
		p += used;
		n -= (size_t)used;
		if (mq_properties_walk(MQ_IN_CONNECT, p, list_n, found, 8, &count, &bad)) return 1;
		for (size_t i = 0; i < count && i < 8; i++) {
			if (found[i].id == 0x21) terms.receive_max = found[i].value;
			if (found[i].id == 0x22) terms.alias_max_out = (uint16_t)(found[i].value < 10 ? found[i].value : 10);
			if (found[i].id == 0x27) terms.max_packet_out = found[i].value;
		}
		p += list_n;
		n -= list_n;
	}
	if (n < 2 || n - 2 < mq_get16(p)) return 1;
	session *s = session_of(w, p + 2, mq_get16(p), clean);
	if (!s) return 1;
	s->durable = !clean;
	s->conn = at;
	c->session = (int)(s - w->sessions);
	c->version = terms.version;
	mq_session_durable(s->s, s->durable);
	mq_session_access(s->s, n % 3);
	if (n & 1) MUST(mq_session_source(s->s, p, n & 7, 1, 1883) != MQ_MALFORMED);
	mq_conn_accept(c->c, s->s, &terms);
	if (terms.version == 5) mq_conn_send(c->c, (const uint8_t *)"\x20\x03\0\0\0", 5);
	else mq_conn_send(c->c, (const uint8_t *)"\x20\x02\0\0", 4);
	mq_conn_resume(c->c);
	return 0;
}

/* Skip the packet identifier and, in MQTT 5.0, the properties. */
static int skip_header(const conn *c, int place, const uint8_t **p, size_t *n) {
	size_t count;
	uint32_t list_n, bad;
	int used;

	if (*n < 2) return 0;
	*p += 2;
	*n -= 2;
	if (c->version < 5) return 1;
	used = mq_varint_get_strict(*p, *n, &list_n);
	if (used <= 0 || list_n > *n - (size_t)used) return 0;
	if (mq_properties_walk(place, *p + used, list_n, NULL, 0, &count, &bad)) return 0;
	*p += (size_t)used + list_n;
	*n -= (size_t)used + list_n;
	return 1;
}

static int in_subscribe(world *w, int at, const uint8_t *p, size_t n) {
	conn *c = &w->conns[at];
	uint8_t answer[] = {0x90, 3, p[0], p[1], 0}, answer5[] = {0x90, 4, p[0], p[1], 0, 0};

	if (!skip_header(c, MQ_IN_SUBSCRIBE, &p, &n)) return 1;
	mq_session *s = w->sessions[c->session].s;
	while (n) {
		if (n < 3 || n - 3 < mq_get16(p)) return 1;
		size_t filter_n = mq_get16(p);
		uint8_t options = p[2 + filter_n];
		if (!mq_filter_valid(p + 2, filter_n) || !mq_utf8_valid(p + 2, filter_n) || (options & 3) == 3 || options > 0x2F)
			return 1;
		int status = mq_subscribe(s, p + 2, filter_n, options, w->now & 1);
		if (status > MQ_EXISTS) return 1;
		if (c->version == 5) mq_conn_send(c->c, answer5, sizeof answer5);
		else mq_conn_send(c->c, answer, sizeof answer);
		const uint8_t *part;
		size_t part_n;
		if (mq_share_split(p + 2, filter_n, &part, &part_n, &part, &part_n) == MQ_NONE)
			mq_retained_send(s, p + 2, filter_n, options & 3, w->now & 1);
		p += 3 + filter_n;
		n -= 3 + filter_n;
	}
	return 0;
}

static int in_unsubscribe(world *w, int at, const uint8_t *p, size_t n) {
	conn *c = &w->conns[at];

	if (!skip_header(c, MQ_IN_UNSUBSCRIBE, &p, &n)) return 1;
	while (n) {
		if (n < 2 || n - 2 < mq_get16(p)) return 1;
		int status = mq_unsubscribe(w->sessions[c->session].s, p + 2, mq_get16(p));
		MUST(status == MQ_OK || status == MQ_NONE || status == MQ_BAD_FILTER || status == MQ_BAD_SHARE);
		n -= 2u + mq_get16(p);
		p += 2 + mq_get16(p);
	}
	return 0;
}

/* ---- the durable store ----------------------------------------------------------------------------------------------- */

static size_t find_id(const store *s, uint64_t id) {
	size_t i = 0;

	while (i < s->ids_n && s->ids[i] != id) i++;
	return i;
}

static void apply(store *s, const mq_drain *d) {
	for (size_t i = 0; i < d->messages_n; i++) {
		MUST(find_id(s, d->messages[i].id) == s->ids_n && s->ids_n < ROWS);
		s->ids[s->ids_n++] = d->messages[i].id;
	}
	for (size_t i = 0; i < d->deliveries_n; i++) {
		uint64_t row = d->deliveries[i].row;
		MUST(row > s->last_row && row < ROWS && !s->rows[row]);
		MUST(find_id(s, d->deliveries[i].message) < s->ids_n);
		s->rows[row] = 1;
		s->last_row = row;
	}
	for (size_t i = 0; i < d->changed_n; i++) MUST(d->changed[i].row < ROWS && s->rows[d->changed[i].row]);
	for (size_t i = 0; i < d->retained_n; i++) MUST(!d->retained[i].id || find_id(s, d->retained[i].id) < s->ids_n);
	for (size_t i = 0; i < d->gone_n; i++) {
		MUST(d->gone[i] < ROWS && s->rows[d->gone[i]]);
		s->rows[d->gone[i]] = 0;
	}
	for (size_t i = 0; i < d->gone_messages_n; i++) {
		size_t at = find_id(s, d->gone_messages[i]);
		MUST(at < s->ids_n);
		s->ids[at] = s->ids[--s->ids_n];
	}
}

/* Commit all there is; without memory that has to wait. */
static void commit(world *w) {
	mq_drain drain;
	int status;

	if (!w->store->on) return;
	do {
		status = mq_journal_drain(w->core, &drain);
		apply(w->store, &drain);
	} while (status == MQ_BLOCKED);
	if (status == MQ_NOMEM) return;
	MUST(!mq_journal_pending(w->core));
	mq_core_committed(w->core);
}

/* ---- callbacks ------------------------------------------------------------------------------------------------------- */

int mq_on_packet(void *user, uint32_t owner, uint8_t first, const uint8_t *body, size_t n) {
	world *w = user;
	conn *c = &w->conns[owner];
	int wrong = 1;

	MUST(owner < CONNS && c->c);
	if (first >> 4 == MQ_CONNECT) wrong = in_connect(w, (int)owner, body, n);
	else if (c->session < 0 && first >> 4 == MQ_AUTH) wrong = 0;
	else if (c->session < 0) wrong = 1;
	else if (first >> 4 == MQ_SUBSCRIBE) wrong = n < 2 || in_subscribe(w, (int)owner, body, n);
	else if (first >> 4 == MQ_UNSUBSCRIBE) wrong = in_unsubscribe(w, (int)owner, body, n);
	if (wrong) hang_up(w, (int)owner);
	return w->hold;
}

/* All connections here are a server's. */
int mq_on_messages(
	void *user, uint32_t owner, const uint8_t *bytes, size_t bytes_n, const struct mq_received *received, size_t n) {
	abort();
}

int mq_on_control(void *user, uint32_t owner, uint8_t qos, uint16_t mid, const uint8_t *topic, size_t topic_n,
	const uint8_t *payload, size_t payload_n) {
	world *w = user;
	uint8_t ack[] = {qos == 1 ? 0x40 : 0x50, 2, (uint8_t)(mid >> 8), (uint8_t)mid};

	MUST(owner < CONNS && w->conns[owner].c && (qos == 0) == (mid == 0));
	if (qos) mq_conn_send(w->conns[owner].c, ack, sizeof ack);
	mq_publish_to(w->conns[owner].c, topic, topic_n, payload, payload_n);
	return w->hold;
}

void mq_on_output(void *user, uint32_t owner, int error) {
	world *w = user;

	MUST(owner < CONNS && w->conns[owner].c && !error);
}

void mq_on_notice(void *user, int notice, const uint8_t *client_id, size_t n, uint32_t value) { MUST(user); }

/* Rules that allow, deny and fail, and are the same whenever they are asked. */
static int judge(const uint8_t *topic, size_t topic_n, int access) {
	static const int verdicts[] = {MQ_OK, MQ_OK, MQ_NONE, MQ_OK, MQ_OK, MQ_NOMEM, MQ_OK, MQ_OK};

	return verdicts[(topic[topic_n - 1] + access) & 7];
}

int mq_on_access(void *user, const uint8_t *client_id, size_t n, int access, const uint8_t *topic, size_t topic_n,
	const uint8_t *payload, size_t payload_n, uint8_t qos, int retain) {
	MUST(user && (access == MQ_READ || access == MQ_WRITE) && qos <= 2);
	return judge(topic, topic_n, access);
}

int mq_on_source(void *user, const uint8_t *client_id, size_t n, const uint8_t *username, int username_n, uint16_t port,
	const uint8_t *topic, size_t topic_n) {
	MUST(user && username_n >= -1);
	return judge(topic, topic_n, MQ_WRITE);
}

void mq_on_trace(void *user, int sent, const uint8_t *client_id, size_t id_n, uint8_t first, uint16_t mid, int rc,
	const uint8_t *topic, size_t topic_n, uint32_t payload_n, int verdict) {
	uint32_t sum = 0;

	for (size_t i = 0; i < topic_n; i++) /* the bytes must be there */
		sum += topic[i];
	for (size_t i = 0; i < id_n; i++) sum += client_id[i];
	MUST(sum <= 255 * (topic_n + id_n));
}

/* ---- output ---------------------------------------------------------------------------------------------------------- */

static void check_first(const conn *c, uint8_t first) {
	switch (first >> 4) {
	case MQ_PUBLISH:
		MUST((first & 6) != 6);
		MUST((first & 14) != 8);
		break;
	case MQ_PUBREL: MUST((first & 15) == 2); break;
	case MQ_CONNACK:
	case MQ_PUBACK:
	case MQ_PUBREC:
	case MQ_PUBCOMP:
	case MQ_SUBACK:
	case MQ_PINGRESP: MUST((first & 15) == 0); break;
	default: MUST(!"a packet that a server sends");
	}
	(void)c;
}

static void check_output(conn *c, const uint8_t *p, size_t n) {
	while (n) {
		if (c->missing) {
			size_t skip = n < c->missing ? n : c->missing;

			c->missing -= (uint32_t)skip;
			p += skip;
			n -= skip;
			continue;
		}
		MUST(c->head_n < sizeof c->head);
		c->head[c->head_n++] = *p++;
		n--;
		if (mq_varint_get_strict(c->head + 1, c->head_n - 1, &c->missing) > 0) {
			check_first(c, c->head[0]);
			c->head_n = 0;
		}
	}
}

static void drain_socket(conn *c) {
	uint8_t room[4096];
	ssize_t n;
	int status;

	do {
		while ((n = read(c->peer, room, sizeof room)) > 0) check_output(c, room, (size_t)n);
		status = mq_conn_writable(c->c);
		MUST(status == MQ_OK || status == MQ_BLOCKED);
	} while (status == MQ_BLOCKED && !mq_conn_held(c->c));
	while ((n = read(c->peer, room, sizeof room)) > 0) check_output(c, room, (size_t)n);
}

static void drain(world *w) {
	for (int i = 0; i < CONNS; i++) {
		conn *c = &w->conns[i];
		const uint8_t *data;
		size_t n;

		if (c->fd) drain_socket(c);
		while (c->c && (n = mq_conn_output(c->c, &data))) {
			check_output(c, data, n);
			mq_conn_consumed(c->c, n);
		}
		if (c->c) MUST(!c->missing && !c->head_n);
		c->paused = 0;
	}
}

/* ---- steps ----------------------------------------------------------------------------------------------------------- */

static int arrive(world *w, int at) {
	int ends[2] = {-1, 0}, small = 1;
	conn *c = &w->conns[at];

	if (at == CONNS - 1) {
		MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
		MUST(!setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
	}
	*c = (conn){.c = mq_conn_new(w->core, ends[0], (uint32_t)at), .session = -1};
	if (ends[1] && c->c) {
		c->fd = ends[0];
		c->peer = ends[1];
	} else if (ends[1]) {
		close(ends[0]);
		close(ends[1]);
	}
	return c->c != NULL;
}

/* What the socket does not take is lost, as if it had never been sent. */
static int receive(conn *c, input piece) {
	ssize_t sent = piece.n ? write(c->peer, piece.p, piece.n) : 0;
	int status = MQ_OK;

	for (ssize_t got = 0; got <= sent && status == MQ_OK; got += 16384) status = mq_conn_readable(c->c);
	return status;
}

static void feed(world *w, int at, input piece) {
	conn *c = &w->conns[at];

	if (!c->c && !arrive(w, at)) return;
	if (c->paused) return;
	int status = c->fd ? receive(c, piece) : mq_conn_feed(c->c, piece.p, piece.n);
	if (!c->c) {
		MUST(status == MQ_STOPPED);
		return;
	}
	if (status == MQ_PAUSED) c->paused = 1;
	else if (status > MQ_STOPPED) hang_up(w, at);
}

/* A long packet in a short input. */
static void feed_repeated(world *w, int at, uint8_t byte, uint16_t n) {
	static uint8_t bytes[UINT16_MAX];

	memset(bytes, byte, n);
	feed(w, at, (input){bytes, n});
}

static void configure(world *w, input *in) {
	mq_options *options = mq_core_options(w->core);

	options->max_inflight_messages = take_byte(in);
	options->check_retain_source = options->max_inflight_messages & 1;
	mq_core_access_changed(w->core);
	options->max_queued_messages = take_byte(in);
	options->max_inflight_bytes = take_byte(in);
	options->max_queued_bytes = take_byte(in);
	options->message_size_limit = take_byte(in);
	uint8_t memory = take_byte(in), flags = take_byte(in);
	options->memory_limit = memory ? mq_core_stats(w->core)->heap + memory * 64u : 0;
	options->retain_available = flags & 1;
	options->upgrade_outgoing_qos = flags >> 1 & 1;
	options->queue_qos0_messages = flags >> 2 & 1;
	options->allow_duplicate_messages = flags >> 3 & 1;
	mq_core_trace(w->core, flags >> 4 & 1);
	w->hold = flags >> 5 & 1;
	w->mute = flags >> 6 & 1;
	w->store->late = flags >> 7;
	mq_core_refuse(w->core, options->max_inflight_messages == 7 ? 0x97 : 0);
}

static void tick(world *w, uint8_t seconds) {
	uint32_t owners[CONNS];
	size_t n;

	w->now += seconds;
	mq_core_clock(w->core, w->now, w->now + 1000000);
	do {
		n = mq_core_timeouts(w->core, owners, CONNS);
		for (size_t i = 0; i < n; i++) hang_up(w, (int)owners[i]);
	} while (n == CONNS);
	mq_retained_expire(w->core, seconds);
}

static void publish(world *w, input *in) {
	uint8_t flags = take_byte(in);
	input topic = take_piece(in, flags >> 4), payload = take_piece(in, take_byte(in));
	mq_session *origin = w->sessions[flags % SESSIONS].s;

	mq_publish(w->core, origin, topic.p, topic.n, payload.p, payload.n, flags % 3, flags >> 3 & 1, NULL, 0, flags & 2);
}

static void step(world *w, input *in) {
	uint8_t what = take_byte(in);
	int at = what % CONNS;

	switch (what >> 2 & 7) {
	default: feed(w, at, take_piece(in, take_two_bytes(in))); break;
	case 2: feed_repeated(w, at, take_byte(in), take_two_bytes(in)); break;
	case 3: hang_up(w, at); break;
	case 4: tick(w, take_byte(in)); break;
	case 5: publish(w, in); break;
	case 6:
		if (w->conns[at].c) mq_conn_mount(w->conns[at].c, (const uint8_t *)"m/", what & 0x20 ? 2 : 0);
		break;
	case 7: configure(w, in); break;
	}
	if (!w->store->late) commit(w);
	mq_core_flush(w->core);
	if (!w->mute) drain(w);
	mq_core_reap(w->core);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	world w = {.now = 1000, .store = calloc(1, sizeof(store))};
	input in = {data, n};
	size_t text_n;

	w.core = mq_core_new(&w);
	MUST(w.core);
	mq_core_options(w.core)->max_packet_size = PACKET_MAX;
	mq_core_clock(w.core, w.now, w.now + 1000000);
	w.store->on = n & 1;
	if (w.store->on) {
		mq_core_journal(w.core, 1);
		mq_core_hold(w.core, 1);
	}
	for (int i = 0; i < CONNS; i++) w.conns[i].session = -1;
	for (int i = 0; i < SESSIONS; i++) w.sessions[i].conn = -1;
	for (int i = 0; in.n && i < STEPS_MAX; i++) step(&w, &in);

	char *text = mq_subscriptions_text(w.core, &text_n);
	if (text) mq_text_free(text);
	commit(&w);
	mq_core_hold(w.core, 0);
	drain(&w);
	for (int i = 0; i < CONNS; i++) hang_up(&w, i);
	for (int i = 0; i < SESSIONS; i++)
		if (w.sessions[i].s) mq_session_free(w.sessions[i].s);
	mq_core_reap(w.core);
	const mq_stats *stats = mq_core_stats(w.core);
	MUST(!stats->subscriptions && !stats->shared_subscriptions);
	MUST(!stats->out_packets && !stats->out_bytes);
	mq_core_options(w.core)->memory_limit = 0;
	commit(&w);
	MUST(stats->stored == stats->retained);
	mq_core_free(w.core);
	free(w.store);
	return 0;
}
