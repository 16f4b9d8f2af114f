/* durable.h: what outlives the process, as the core sees it: a journal for a store that is kept up to date, and the way back
 * from a store or a file into queues, windows and the retained tree.
 *
 * Theory of operation. A stored message has a number (its store id) from the moment it is stored; a message in a queue or a
 * window of a session that outlives its connection has a row number from the moment the journal knows it. The journal holds
 * net changes, not history: what came and went since the last drain appears in no drain, so that a subscriber who
 * acknowledges quickly costs the store nothing.
 *
 *      publish --> entry, fresh --+--> acknowledged before the drain: forgotten
 *                                 +--> drained (the store inserts the row) --> acknowledged: its row number is in `gone`
 *
 * While something is not drained and committed, no promise may leave: a connection whose output holds an acknowledgement or a
 * QoS 2 PUBLISH is held, and mq_core_flush passes it by until mq_core_committed. QoS 0 and 1 messages promise nothing, and
 * leave at once: their receivers may well acknowledge them before the commit.
 */
#ifndef MQ_DURABLE_H
#define MQ_DURABLE_H
#include "core.h"

/* States of a message of a session, as files know them. */
enum mq_stage {
	MQ_STAGE_PUBACK = 3,       /* sent, waiting for PUBACK */
	MQ_STAGE_PUBREC = 5,       /* sent, waiting for PUBREC */
	MQ_STAGE_PUBREL_AGAIN = 6, /* read only: PUBREL has to be sent again */
	MQ_STAGE_PUBREL = 7,       /* incoming QoS 2, waiting for PUBREL */
	MQ_STAGE_PUBCOMP = 9,      /* PUBREL sent, waiting for PUBCOMP */
	MQ_STAGE_QUEUED = 11
};

/* A stored message. Without a user name username is NULL; client_id_n is 0 for messages of the broker's own. */
typedef struct mq_record {
	uint64_t id;     /* store id */
	int64_t expires; /* Unix second, 0 = never */
	const uint8_t *topic, *properties, *payload, *client_id, *username;
	uint32_t topic_n, properties_n, payload_n;   /* properties: without their length in front */
	uint16_t client_id_n, username_n, port, mid; /* of who published it; port: the listener's */
	uint8_t qos, retain;                         /* as published */
} mq_record;

/* A message of a session. */
typedef struct mq_delivery {
	uint64_t row;     /* its number in the store; 0: none */
	uint64_t message; /* store id */
	const uint8_t *client_id;
	uint32_t client_id_n;
	uint32_t id; /* subscription identifier */
	uint16_t mid;
	uint8_t qos, retain, dup, stage; /* enum mq_stage */
	uint8_t incoming;                /* 1: from the client (inbound QoS 2) */
} mq_delivery;

/* A retained message set (id) or cleared (id 0). */
typedef struct mq_keep {
	uint64_t id;
	const uint8_t *topic;
	uint32_t topic_n;
} mq_keep;

/* One drain: apply in this order. The pointers hold until the core is called again. */
typedef struct mq_drain {
	const mq_record *messages;
	const mq_delivery *deliveries; /* new ones */
	const mq_delivery *changed;    /* row, mid, qos, dup and stage count */
	const mq_keep *retained;
	const uint64_t *gone;          /* rows of deliveries */
	const uint64_t *gone_messages; /* store ids */
	size_t messages_n, deliveries_n, changed_n, retained_n, gone_n, gone_messages_n;
} mq_drain;

/* ---- the journal ---- */

/* Keep one from now on, or no more. To be switched on before anything is stored or restored. */
void mq_core_journal(mq_core *core, int on);
/* About how many rows the next drains would write or delete; 0: nothing. */
size_t mq_journal_pending(const mq_core *core);
/* MQ_OK; MQ_BLOCKED: there is more, drain again; MQ_NOMEM: nothing was drained, nothing is lost. */
int mq_journal_drain(mq_core *core, mq_drain *out);

/* ---- promises ---- */

void mq_core_hold(mq_core *core, int on); /* hold promises until mq_core_committed */
/* The output of conn promises something of the owner's that is not committed: a SUBACK, a CONNACK. */
void mq_conn_promise(mq_conn *conn);
int mq_conn_held(const mq_conn *conn);
/* All that was said so far is safe: what was held leaves with the next mq_core_flush. */
void mq_core_committed(mq_core *core);

/* When a commit failed: whose output is held (how many of max were filled in). */
size_t mq_core_held(mq_core *core, uint32_t *owners, size_t max);
/* Forget the output, it must never leave: the connection has to be closed. */
void mq_conn_discard(mq_conn *conn);
/* Refuse QoS 1 and 2 with this reason code (before MQTT 5.0: end the connection, MQ_STORE); 0: no more. */
void mq_core_refuse(mq_core *core, uint8_t reason);

/* ---- the way back ---- */

/* MQ_OK; MQ_EXISTS: the number is taken; MQ_NONE: expired, not kept; MQ_BAD_FILTER: topic or number; MQ_NOMEM. */
int mq_restore_message(mq_core *core, const mq_record *record);
int mq_restore_has(const mq_core *core, uint64_t id); /* is there a message of this number? */
/* Retain a message under its topic. MQ_OK; MQ_NONE: no such message, or no payload; MQ_NOMEM. */
int mq_restore_retained(mq_core *core, uint64_t id);
/* A message of a session without a connection, at the end of its list; client_id does not count. MQ_OK; MQ_NONE: no such
 * message, or nothing that could be delivered; MQ_NOMEM. */
int mq_restore_delivery(mq_session *session, const mq_delivery *delivery);
/* All is back: what nobody refers to is gone. New store ids will be greater than last_id and all that were seen. */
void mq_restore_done(mq_core *core, uint64_t last_id);
uint16_t mq_session_last_mid(const mq_session *session); /* the packet identifier used last towards the client */
void mq_session_set_last_mid(mq_session *session, uint16_t mid);

#endif
