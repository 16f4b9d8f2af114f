/* conn.h: a network connection: receive -> frames -> handlers; output chain -> send.
 *
 * Theory of operation. An idle connection owns no buffer. Bytes are received into the core's scratch buffer and every whole
 * packet is handled where it lies; only an incomplete one is kept (in, in_n) until the rest comes. Output is appended to the
 * chain and leaves with mq_core_flush at the end of the turn, or earlier when a lot has gathered (MQ_FLUSH_EARLY).
 * The life of a connection: NEW (only CONNECT) -> [AUTHENTICATING (only AUTH, DISCONNECT) ->] ACTIVE -> CLOSED.
 */
#ifndef MQ_CONN_H
#define MQ_CONN_H
#include "buf.h"
#include "core.h"

/* This much output is worth a system call before the turn ends: the receiver can start reading, and the bytes are still in cache. */
#define MQ_FLUSH_EARLY 131072
/* Output that gathers in one turn for a connection whose bytes Python moves. */
#define MQ_HELD_MAX (4 << 20)
/* Unsent answers (acknowledgements, PINGRESP, SUBACK) beyond this: the peer is read from no more until it reads them. */
#define MQ_ANSWERS_MAX 65536

enum mq_conn_state { MQ_STATE_NEW, MQ_STATE_AUTHENTICATING, MQ_STATE_ACTIVE, MQ_STATE_CLOSED };

struct mq_conn {
	mq_core *core;
	mq_session *session;
	mq_conn *next, *prev; /* core->conns */
	mq_conn *wheel_next, **wheel_prev;
	uint8_t *in; /* an incomplete packet */
	mq_chain out;
	uint8_t *mount;             /* mount point, NULL: none */
	struct mq_aliases *aliases; /* NULL: none used so far */
	mq_terms terms;
	uint32_t in_n, in_room, in_total; /* in_total: length of the packet in `in`, 0 = not known yet */
	uint32_t answers;                 /* bytes of answers since output was last empty */
	uint32_t owner, mount_n;
	uint32_t held;   /* journal.epoch in which its output promised something, 0: never */
	int32_t last_in; /* second of the last whole packet */
	int fd;
	uint8_t state, dirty, blocked;
	uint8_t role, hand_up, ended; /* hand_up, ended: client.h */
	uint8_t plain;                /* every such connection is sent the same bytes (deliver.c) */
	uint8_t cut;                  /* its output ended in the middle of a packet, and no other may follow */
};

/* A connection in the client role. There are many others, which are kept small. */
typedef struct mq_client_conn {
	mq_conn conn;
	uint32_t batch_max;   /* messages handed up at once; 0: as many as there are */
	uint32_t max_packet;  /* Maximum Packet Size that CONNECT states, 0 = none */
	uint32_t receive_max; /* Receive Maximum that CONNECT states, 0 = none */
	int32_t last_out;     /* second in which output left last */
} mq_client_conn;
static inline mq_client_conn *mq_client_of(const mq_conn *c) { return (mq_client_conn *)c; }

mq_conn *mq_conn_make(mq_core *core, size_t size, int fd, uint32_t owner); /* zeroed, of this size; NULL: no memory */

int mq_frames(mq_conn *conn, uint8_t *data, size_t n, size_t *used);         /* handle every whole packet (frames.c) */
int mq_flush_conn(mq_conn *conn);                                            /* MQ_OK, MQ_BLOCKED or MQ_ERRNO */
void mq_conn_touch(mq_conn *conn);                                           /* it has output */
int mq_conn_ack(mq_conn *conn, uint8_t first, uint16_t mid, uint8_t reason); /* PUBACK, PUBREC, PUBREL, PUBCOMP */
void mq_conn_flush_early(mq_conn *conn);
int mq_conn_put_by(mq_conn *conn, const uint8_t *data, size_t n); /* input for the next mq_conn_feed. MQ_OK or MQ_NOMEM */
void mq_conn_unwatched(mq_conn *conn);                            /* no keepalive of the other end counts */

/* Where Python moves the bytes, output waits for the end of the turn, so that a lot of it says nothing about the peer. */
static inline int mq_conn_blocked(const mq_conn *c) { return c->blocked || (c->fd < 0 && c->out.bytes >= MQ_HELD_MAX); }

/* Its output promises what is not committed yet (durable.h). */
static inline int mq_is_held(const mq_conn *c);

/* The socket is full and as many packets wait as max_queued_messages allows. */
static inline int mq_conn_backlogged(const mq_conn *c);

/* What is about to be appended to its output may stand for something that is not committed: hold it until that is. To be
 * called before, since what is appended may leave early. */
static inline void mq_promise(mq_conn *c);

#include "state.h"
static inline void mq_promise(mq_conn *c) {
	if (c->core->journal.promised && c->core->journal.hold) mq_hold(c);
}
static inline int mq_is_held(const mq_conn *c) { return c->held && c->held == c->core->journal.epoch; }
static inline int mq_conn_backlogged(const mq_conn *c) {
	uint32_t max = c->core->options.max_queued_messages;
	return max && c->out.packets >= max && mq_conn_blocked(c);
}

/* Topic aliases of one connection (alias.c). */
int mq_alias_set(mq_conn *conn, uint16_t alias, const uint8_t *topic, size_t n); /* MQ_OK or MQ_NOMEM */
const uint8_t *mq_alias_get(const mq_conn *conn, uint16_t alias, uint32_t *n);   /* NULL: never set */
/* Towards the client, if it allows any: the alias for a topic, 0 = none; *fresh: to be introduced, by mq_alias_introduce once it is
 * really sent. */
uint16_t mq_alias_out(const mq_conn *conn, const uint8_t *topic, size_t n, int *fresh);
int mq_alias_introduce(mq_conn *conn, const uint8_t *topic, size_t n);
/* Towards a server, with an alias that the publisher chose: that alias, or 0 where the server does not allow it. */
uint16_t mq_alias_chosen(const mq_conn *conn, uint16_t alias, const uint8_t *topic, size_t n, int *fresh);
int mq_alias_choose(mq_conn *conn, uint16_t alias, const uint8_t *topic, size_t n);
void mq_aliases_free(mq_conn *conn);

#endif
