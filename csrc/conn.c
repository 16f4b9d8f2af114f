#include "conn.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "callbacks.h"
#include "journal.h"
#include "mem.h"
#include "session.h"
#include "wire.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
/* Pieces of output handed to the kernel in one call; well below any IOV_MAX. */
#define VECTORS 64
/* A connection that has not said CONNECT is treated as keepalive 20: closed after 30 s. */
#define KEEPALIVE_BEFORE_CONNECT 20
/* conn->blocked: the socket is full, and the owner knows it (mq_on_output), so it need not be told each turn. */
enum { NOT_BLOCKED, BLOCKED, SAID };
/* Receiving a large packet counts as a sign of life while more than this is outstanding. */
#define OUTSTANDING_ALIVE 1000

/* ---- the keepalive wheel ---- */

static void wheel_remove(mq_conn *c) {
	if (!c->wheel_prev) return;
	*c->wheel_prev = c->wheel_next;
	if (c->wheel_next) c->wheel_next->wheel_prev = c->wheel_prev;
	c->wheel_prev = NULL;
}

/* The second in which a connection that stays silent has run out: one and a half times the keepalive, and the rest of the second. */
static int64_t runs_out(const mq_conn *c) { return c->last_in + c->terms.keepalive + c->terms.keepalive / 2 + 1; }

static void wheel_insert(mq_conn *c) {
	mq_core *core = c->core;
	int64_t due = runs_out(c), last = core->wheel_at + MQ_WHEEL - 1;
	if (!c->terms.keepalive) return;
	if (due < core->wheel_at) due = core->wheel_at;
	mq_conn **slot = &core->wheel[(due < last ? due : last) % MQ_WHEEL];
	c->wheel_next = *slot;
	c->wheel_prev = slot;
	if (*slot) (*slot)->wheel_prev = &c->wheel_next;
	*slot = c;
}

size_t mq_core_timeouts(mq_core *core, uint32_t *owners, size_t max) {
	size_t n = 0;
	for (; core->wheel_at <= core->mono; core->wheel_at++) {
		mq_conn **slot = &core->wheel[core->wheel_at % MQ_WHEEL];
		while (*slot) {
			mq_conn *c = *slot;
			if (n == max) return n;
			wheel_remove(c);
			if (runs_out(c) <= core->mono) {
				owners[n++] = c->owner;
				continue;
			}
			wheel_insert(c); /* not due: into a later slot than this one */
		}
	}
	return n;
}

/* ---- life ---- */

mq_conn *mq_conn_make(mq_core *core, size_t size, int fd, uint32_t owner) {
	mq_conn *c = mq_zalloc(core, size);
	if (!c) return NULL;
	c->core = core;
	c->fd = fd;
	c->owner = owner;
	c->last_in = (int32_t)core->mono;
	c->terms.keepalive = KEEPALIVE_BEFORE_CONNECT;
	c->next = core->conns;
	if (c->next) c->next->prev = c;
	core->conns = c;
	wheel_insert(c);
	return c;
}

mq_conn *mq_conn_new(mq_core *core, int fd, uint32_t owner) { return mq_conn_make(core, sizeof(mq_conn), fd, owner); }

void mq_conn_unwatched(mq_conn *c) {
	c->terms.keepalive = 0;
	wheel_remove(c);
}

void mq_conn_begin(mq_conn *c, uint8_t version) {
	c->state = MQ_STATE_AUTHENTICATING;
	c->terms.version = version;
}

static void judge_plain(mq_conn *c) {
	c->plain = c->role == MQ_SERVER && !c->mount && !c->terms.alias_max_out && !c->terms.max_packet_out;
}

void mq_conn_accept(mq_conn *c, mq_session *s, const mq_terms *terms) {
	c->state = MQ_STATE_ACTIVE;
	c->terms = *terms;
	judge_plain(c);
	c->session = s;
	s->conn = c;
	s->version = terms->version;
	s->dropping = 0;
	c->last_in = (int32_t)c->core->mono;
	wheel_remove(c);
	wheel_insert(c);
}

void mq_conn_resume(mq_conn *c) {
	if (c->session) mq_session_resume(c->session);
}

int mq_conn_mount(mq_conn *c, const uint8_t *prefix, size_t n) {
	uint8_t *mount = n ? mq_alloc(c->core, n) : NULL;
	if (n && !mount) return MQ_NOMEM;
	if (n) memcpy(mount, prefix, n);
	mq_release(c->core, c->mount);
	c->mount = mount;
	c->mount_n = (uint32_t)n;
	judge_plain(c);
	return MQ_OK;
}

void mq_conn_alias_max(mq_conn *c, uint16_t in) { c->terms.alias_max_in = in; }

void mq_conn_close(mq_conn *c) {
	if (c->state == MQ_STATE_CLOSED) return;
	c->state = MQ_STATE_CLOSED;
	if (c->session) c->session->conn = NULL;
	c->session = NULL;
	wheel_remove(c);
	if (c->prev) c->prev->next = c->next;
	else c->core->conns = c->next;
	if (c->next) c->next->prev = c->prev;
	mq_chain_clear(c->core, &c->out);
	mq_reap_later(c->core, c, NULL);
}

void mq_conn_final(mq_conn *c) {
	if (c->fd >= 0 && c->state != MQ_STATE_CLOSED && !mq_is_held(c)) mq_flush_conn(c);
}

void mq_conn_fault(mq_conn *c, int out[3]) { memcpy(out, c->core->fault, sizeof c->core->fault); }

/* ---- input ---- */

/* Keep what is left of the input, an incomplete packet, or nothing. data may lie in c->in itself. */
static int keep(mq_conn *c, const uint8_t *data, size_t n) {
	if (n == 0) {
		mq_release(c->core, c->in);
		c->in = NULL;
		c->in_n = c->in_room = 0;
		return MQ_OK;
	}
	if (n > c->in_room) {
		uint8_t *in = mq_resize(c->core, c->in, n);
		if (!in) return MQ_NOMEM;
		c->in = in;
		c->in_room = (uint32_t)n;
	}
	if (data != c->in) memmove(c->in, data, n);
	c->in_n = (uint32_t)n;
	return MQ_OK;
}

/* Handle data, which starts with what had been kept. The outcome of the packets goes before that of the keeping. */
static int take(mq_conn *c, uint8_t *data, size_t n) {
	size_t used = 0;
	int status = mq_frames(c, data, n, &used);
	if (c->state == MQ_STATE_CLOSED) return MQ_STOPPED;
	if (status > MQ_STOPPED) return status;
	if (c->in_total > n - used + OUTSTANDING_ALIVE) c->last_in = (int32_t)c->core->mono;
	if (keep(c, data + used, n - used)) return MQ_NOMEM;
	if (status == MQ_OK && c->answers > MQ_ANSWERS_MAX && mq_conn_blocked(c)) return MQ_PAUSED;
	return status;
}

static ssize_t receive(mq_conn *c, uint8_t *to, size_t room) {
	ssize_t n;
	do n = recv(c->fd, to, room, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0) c->core->stats.bytes_received += (uint64_t)n;
	return n;
}

static int receive_failed(mq_conn *c, ssize_t n) {
	if (n == 0 || errno == ECONNRESET) return MQ_EOF;
	if (errno == EAGAIN || errno == EWOULDBLOCK) return MQ_OK;
	return mq_fault(c->core, MQ_ERRNO, errno, 0, 0);
}

/* Room for so many bytes in c->in. A large packet makes it grow with what has really come, but not a little each time. */
static int make_room(mq_conn *c, size_t room) {
	size_t grown = c->in_room * (size_t)2;
	if (room <= c->in_room) return MQ_OK;
	if (grown > c->in_total) grown = c->in_total;
	if (grown < room) grown = room;
	uint8_t *in = mq_resize(c->core, c->in, grown);
	if (!in) return MQ_NOMEM;
	c->in = in;
	c->in_room = (uint32_t)grown;
	return MQ_OK;
}

/* A packet larger than the scratch buffer is gathered in c->in. */
static int receive_large(mq_conn *c) {
	size_t missing = c->in_total - c->in_n, most = missing < MQ_RECEIVE ? missing : MQ_RECEIVE;
	if (make_room(c, c->in_n + most)) return MQ_NOMEM;
	ssize_t n = receive(c, c->in + c->in_n, most);
	if (n <= 0) return receive_failed(c, n);
	c->in_n += (uint32_t)n;
	if (c->in_total > c->in_n) {
		if (c->in_total - c->in_n > OUTSTANDING_ALIVE) c->last_in = (int32_t)c->core->mono;
		return MQ_OK;
	}
	return take(c, c->in, c->in_n);
}

int mq_conn_readable(mq_conn *c) {
	uint8_t *scratch = c->core->scratch;
	if (c->state == MQ_STATE_CLOSED) return MQ_STOPPED;
	if (c->in_total > MQ_RECEIVE && c->in_n) return receive_large(c);
	size_t had = c->in_n;
	if (had > MQ_RECEIVE) return take(c, c->in, had); /* whole packets that a callback told us to hold back */
	ssize_t n = receive(c, scratch + had, MQ_RECEIVE);
	if (n <= 0) return receive_failed(c, n);
	if (had) memcpy(scratch, c->in, had);
	return take(c, scratch, had + (size_t)n);
}

static int put_by(mq_conn *c, const uint8_t *data, size_t n) {
	if (make_room(c, c->in_n + n)) return MQ_NOMEM;
	if (n) memcpy(c->in + c->in_n, data, n);
	c->in_n += (uint32_t)n;
	return MQ_OK;
}

int mq_conn_feed(mq_conn *c, const uint8_t *data, size_t n) {
	if (c->state == MQ_STATE_CLOSED) return MQ_STOPPED;
	c->core->stats.bytes_received += n;
	if (c->in_n + n == 0) return MQ_OK;
	return put_by(c, data, n) ? MQ_NOMEM : take(c, c->in, c->in_n);
}

int mq_conn_put_by(mq_conn *c, const uint8_t *data, size_t n) {
	c->core->stats.bytes_received += n;
	return put_by(c, data, n);
}

/* ---- output ---- */

void mq_conn_touch(mq_conn *c) {
	if (c->dirty) return;
	/* Without memory for the list the output waits for the next packet of this connection; it is not lost. */
	if (!mq_vector_push(c->core, &c->core->dirty, c)) c->dirty = 1;
}

int mq_conn_send(mq_conn *c, const uint8_t *packet, size_t n) {
	if (c->state == MQ_STATE_CLOSED || c->cut) return MQ_STOPPED;
	uint8_t *p = mq_chain_room(c->core, &c->out, n);
	if (!p) return MQ_NOMEM;
	memcpy(p, packet, n);
	mq_chain_add(c->core, &c->out, n, 1);
	c->answers += (uint32_t)n;
	mq_conn_touch(c);
	return MQ_OK;
}

int mq_conn_ack(mq_conn *c, uint8_t first, uint16_t mid, uint8_t reason) {
	uint8_t packet[5] = {first, reason && c->terms.version == 5 ? 3 : 2, (uint8_t)(mid >> 8), (uint8_t)mid, reason};
	if (c->core->trace)
		mq_on_trace(c->core->user, 1, c->session ? c->session->client_id : NULL, c->session ? c->session->client_id_n : 0, first,
			mid, reason, NULL, 0, 0, MQ_TRACE_PLAIN);
	if (reason < 0x80) mq_promise(c);
	return mq_conn_send(c, packet, 2u + packet[1]);
}

static ssize_t write_out(mq_conn *c, const struct iovec *v, int n) {
	struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)n};
	ssize_t sent;
	do sent = n == 1 ? send(c->fd, v->iov_base, v->iov_len, MSG_NOSIGNAL) : sendmsg(c->fd, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

/* n bytes of output have left. */
static void left(mq_conn *c, size_t n) {
	if (c->role == MQ_CLIENT) mq_client_of(c)->last_out = (int32_t)c->core->mono;
	mq_chain_consume(c->core, &c->out, n);
}

int mq_flush_conn(mq_conn *c) {
	struct iovec v[VECTORS];
	while (c->out.bytes) {
		int n = mq_chain_vectors(&c->out, v, VECTORS);
		size_t asked = 0;
		for (int i = 0; i < n; i++) asked += v[i].iov_len;
		ssize_t sent = write_out(c, v, n);
		if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return mq_fault(c->core, MQ_ERRNO, errno, 0, 0);
		if (sent > 0) left(c, (size_t)sent);
		if (sent < (ssize_t)asked) {
			if (!c->blocked) c->blocked = BLOCKED;
			return MQ_BLOCKED;
		}
	}
	c->answers = 0;
	c->blocked = NOT_BLOCKED;
	return MQ_OK;
}

/* In the middle of a turn: what failed or blocked here is reported by the flush at the end of the turn. */
void mq_conn_flush_early(mq_conn *c) {
	if (c->fd < 0 || c->blocked || mq_is_held(c)) return;
	if (mq_flush_conn(c) == MQ_ERRNO) c->blocked = BLOCKED;
}

int mq_conn_writable(mq_conn *c) {
	if (c->state == MQ_STATE_CLOSED) return MQ_STOPPED;
	if (mq_is_held(c)) return MQ_BLOCKED;
	int status = mq_flush_conn(c);
	if (status == MQ_OK && c->session) mq_session_pump(c->session);
	return status;
}

size_t mq_conn_output(mq_conn *c, const uint8_t **data) {
	struct iovec v;
	if (mq_is_held(c) || mq_chain_vectors(&c->out, &v, 1) == 0) return 0;
	*data = v.iov_base;
	return v.iov_len;
}

void mq_conn_consumed(mq_conn *c, size_t n) {
	left(c, n < c->out.bytes ? n : c->out.bytes);
	if (c->out.bytes == 0) c->answers = 0;
	if (c->session && !mq_conn_blocked(c)) mq_session_pump(c->session);
}

void mq_conn_full(mq_conn *c, int full) {
	if (c->fd < 0) c->blocked = full ? SAID : NOT_BLOCKED;
}

void mq_core_flush(mq_core *core) {
	/* mq_on_output may close connections, but appends nothing; new output of a later one joins the list and is flushed too. */
	size_t held = 0;
	for (size_t i = 0; i < core->dirty.n; i++) {
		mq_conn *c = core->dirty.at[i];
		if (c->state != MQ_STATE_CLOSED && mq_is_held(c)) {
			core->dirty.at[held++] = c;
			continue;
		}
		c->dirty = 0;
		if (c->state == MQ_STATE_CLOSED || c->out.bytes == 0) continue;
		if (c->blocked == SAID) continue;
		int status = c->fd < 0 || c->blocked ? MQ_BLOCKED : mq_flush_conn(c);
		if (status == MQ_OK) continue;
		if (c->fd >= 0) c->blocked = SAID;
		mq_on_output(core->user, c->owner, status == MQ_ERRNO ? core->fault[0] : 0);
	}
	core->dirty.n = held;
}
