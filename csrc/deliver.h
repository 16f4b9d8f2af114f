/* deliver.h: a PUBLISH on its way out to one connection.
 *
 * Encoding depends on the receiver: protocol level, alias, mount point, subscription identifier, maximum packet size. When none
 * of these is in play the frame is the same for everybody of one level, QoS and RETAIN, but for the packet identifier; then
 * mq_frame_put encodes it on second use and copies it from there on (encode once it pays).
 */
#ifndef MQ_DELIVER_H
#define MQ_DELIVER_H
#include "conn.h"
#include "message.h"

/* What differs from one delivery to the next. */
typedef struct mq_sending {
	uint32_t id;  /* subscription identifier, 0 = none */
	uint16_t mid; /* 0 with QoS 0 */
	uint8_t qos, retain, dup;
} mq_sending;

/* MQ_OK: appended to the output; MQ_NONE: never deliverable on this connection (expired, too large, not under its mount point);
 * MQ_NOMEM. */
int mq_deliver(mq_conn *conn, mq_view *view, mq_sending how);

/* Frames of the publish under way that are shared by many receivers. Only up to this size; beyond, payloads are borrowed. */
typedef struct mq_frame {
	uint8_t *bytes;     /* MQ_FRAME_MAX of them, in the core */
	uint32_t n, mid_at; /* n 0: not encoded yet */
	uint8_t used;
} mq_frame;
/* Which frame of the set fits: by level (v3 or v5), QoS, RETAIN. */
static inline int mq_frame_index(const mq_conn *c, uint8_t qos, uint8_t retain) {
	return (c->terms.version == 5 ? 6 : 0) + qos * 2 + retain;
}
int mq_frame_put(mq_conn *conn, mq_frame *frame, mq_view *view, mq_sending how);

#endif
