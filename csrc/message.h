/* message.h: a stored message: one allocation, reference-counted.
 *
 *   [ mq_message | topic | properties, encoded as forwarded | payload ]
 *
 * mq_view is the same message wherever its bytes are: still in the receive buffer (nothing is allocated for a QoS 0 message
 * that is written on at once) or in an mq_message. mq_view_keep makes the second of the first, when it is first needed.
 */
#ifndef MQ_MESSAGE_H
#define MQ_MESSAGE_H
#include "core.h"

typedef struct mq_message {
	uint32_t refs;
	uint32_t properties_n : 28;
	uint32_t qos : 2;    /* as published */
	uint32_t retain : 1; /* as published */
	uint32_t stored : 1; /* the durable store has it */
	uint32_t payload_n : 28;
	uint32_t current : 1; /* it is the retained message of its topic */
	uint32_t listed : 1;  /* the durable store has a retained message of its topic, this one or one before */
	uint16_t topic_n;
	uint16_t mid;             /* packet identifier of the publisher, 0 with QoS 0 */
	uint64_t id;              /* store id, growing */
	struct mq_source *source; /* who published it, where that is to be known (access.h) */
	int64_t expires;          /* wall clock second, 0 = never */
	uint8_t bytes[];
} mq_message;

typedef struct mq_view {
	struct mq_source *source;
	const uint8_t *topic, *properties, *payload;
	uint32_t topic_n, properties_n, payload_n;
	uint16_t mid;
	uint8_t qos, retain;
	int64_t expires;
	mq_message *kept; /* the stored message these bytes belong to, if there is one */
	uint8_t owned;    /* the view holds a reference to it */
	uint32_t hash;    /* of the topic, for decisions; 0: not computed yet */
} mq_view;

mq_message *mq_view_keep(
	mq_core *core, mq_view *view); /* view->kept, made if need be; take a reference to hold it. NULL: no memory */
mq_view mq_message_view(mq_message *message);
static inline mq_message *mq_message_ref(mq_message *m) {
	m->refs++;
	return m;
}
void mq_message_unref(mq_core *core, mq_message *message); /* NULL is fine */
/* Give up the view: the message it made goes unless somebody took a reference. */
void mq_view_done(mq_core *core, mq_view *view);
static inline int mq_expired(int64_t expires, int64_t now) { return expires && now > expires; }

#endif
