/* deliver.h: a PUBLISH on its way out to one connection.
 *
 * Encoding depends on the receiver: protocol level, alias, mount point, subscription identifier, maximum packet size. When none
 * of these is in play a QoS 0 frame is the same for everybody of one level and RETAIN; then mq_deliver_shared encodes it on
 * second use and copies it from there on (encode once it pays). QoS 1 and 2 cost an entry in the window for each receiver,
 * beside which the encoding does not count, so they are always encoded one by one.
 */
#ifndef MQ_DELIVER_H
#define MQ_DELIVER_H
#include "conn.h"
#include "message.h"

/* What differs from one delivery to the next. */
typedef struct mq_sending {
	uint32_t id;  /* subscription identifier, in the client role a topic alias that the publisher chose; 0 = none */
	uint16_t mid; /* 0 with QoS 0 */
	uint8_t qos, retain, dup;
} mq_sending;

/* MQ_OK: appended to the output; MQ_NONE: never deliverable on this connection (expired, too large, not under its mount point);
 * MQ_NOMEM. */
int mq_deliver(mq_conn *conn, mq_view *view, mq_sending how);

/* Frames of the publish under way that many QoS 0 receivers share: by level (v3 or v5) and RETAIN. Their bytes are in the core. */
typedef struct mq_shared {
	uint32_t n[MQ_FRAMES];   /* length, 0 = not encoded yet */
	uint8_t once[MQ_FRAMES]; /* one receiver has had its own encoding: the next is worth a shared one */
} mq_shared;
int mq_deliver_shared(mq_conn *conn, mq_shared *shared, mq_view *view, mq_sending how); /* as mq_deliver, with QoS 0 */

#endif
