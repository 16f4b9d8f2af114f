/* session.h: what outlives a connection: subscriptions, the outgoing queue and window, packet identifiers, inbound QoS 2.
 *
 *      offered message --> [ queue: waiting for the window ] --> [ flight: sent, not yet acknowledged ] --> gone
 *      QoS 2 from the client --> [ inbound: waiting for PUBREL ] --> routed
 *
 * Lists keep the order, an id map beside flight and inbound finds an entry by packet identifier in constant time. All of this
 * hangs from mq_flow, which exists from the first QoS 1 or 2 message on: an idle session is a few dozen bytes.
 */
#ifndef MQ_SESSION_H
#define MQ_SESSION_H
#include "core.h"
#include "durable.h"
#include "message.h"

enum mq_state { MQ_QUEUED = 0, MQ_WAIT_PUBACK = 3, MQ_WAIT_PUBREC = 5, MQ_WAIT_PUBREL = 7, MQ_WAIT_PUBCOMP = 9 };

typedef struct mq_entry {
	struct mq_entry *prev, *next;
	mq_message *message;
	uint64_t row;    /* in the durable store (journal.h), 0 = none */
	uint32_t change; /* its place among the changes that the store has to hear of, from 1 */
	uint32_t id;     /* subscription identifier */
	uint16_t mid;
	uint8_t qos, retain, state;
	uint8_t repeats; /* flight: 1 = was written before; inbound: repetitions on this connection */
} mq_entry;

typedef struct mq_list {
	mq_entry *head, *tail;
	uint64_t bytes; /* of payload */
	uint32_t n;
} mq_list;

typedef struct mq_ids {
	mq_entry **slots;
	uint32_t mask, count;
	uint32_t displaced; /* entries that are not in the slot that their identifier names */
} mq_ids;

typedef struct mq_flow {
	mq_list flight, queue, inbound;
	mq_ids flight_ids, inbound_ids;
	uint16_t last_mid;
} mq_flow;

struct mq_session {
	mq_core *core;
	mq_conn *conn;           /* NULL: offline */
	mq_session *next, *prev; /* core->sessions */
	struct mq_sub *subs;
	mq_flow *flow;                  /* NULL: nothing of QoS 1 or 2 so far */
	struct mq_decisions *decisions; /* access.h */
	struct mq_source *source;       /* NULL: nobody wants to know */
	uint32_t subs_n;
	uint32_t stamp; /* the last publish that reached it (allow_duplicate_messages false) */
	uint16_t client_id_n;
	uint8_t access;
	uint8_t version;                 /* of the protocol, in the last connection */
	uint8_t durable, dropping, dead; /* dropping: the notice was given in this connection */
	uint8_t client_id[];
};

/* A message for a session: what is sent with it. */
typedef struct mq_offer {
	mq_view *view;
	uint32_t id;
	uint8_t qos, retain;
} mq_offer;

void mq_session_offer(mq_session *session, mq_offer offer); /* QoS 1 or 2, or 0 for an offline session: send, queue or drop */
void mq_session_dropped(mq_session *session);               /* count it, say it once per connection */
void mq_session_pump(mq_session *session);                  /* from the queue into the window, while both allow it */
void mq_session_resume(mq_session *session);
uint16_t mq_session_next_mid(mq_session *session); /* a packet identifier that no message in flight has; 0: no memory */

/* Acknowledgements of outgoing messages: MQ_OK or what is wrong (a, b, c in core->fault). */
int mq_session_puback(mq_session *session, uint16_t mid);
int mq_session_pubrec(mq_session *session, uint16_t mid, uint8_t reason, int *answer); /* answer: send PUBREL */
int mq_session_pubcomp(mq_session *session, uint16_t mid);

/* Inbound QoS 2. */
int mq_session_window_full(const mq_session *session); /* receive maximum reached: refuse */
mq_entry *mq_session_inbound(const mq_session *session, uint16_t mid);
int mq_session_hold(mq_session *session, mq_view *view, uint16_t mid); /* MQ_OK or MQ_NOMEM */
void mq_session_release(mq_session *session, mq_entry *entry);

/* A message that comes back from a file, at the end of its list: the fields are as durable.h has them. MQ_OK, MQ_NONE, MQ_NOMEM. */
int mq_session_restore(mq_session *session, mq_message *message, const mq_delivery *delivery);

#endif
