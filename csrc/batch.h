/* batch.h: messages that a connection in the client role has accepted, on their way up (client.h has the picture).
 */
#ifndef MQ_BATCH_H
#define MQ_BATCH_H
#include "client.h"
#include "message.h"

/* What becomes of an accepted message: handed up or routed. As mq_route; first, mid: of the PUBLISH. */
int mq_accepted(mq_conn *conn, mq_view *view, uint8_t first, uint16_t mid);
int mq_batch_flush(mq_conn *conn); /* hand up what has gathered. Not 0: no more input in this turn */
int mq_batch_ripe(const mq_conn *conn);
void mq_batch_free(mq_core *core);

#endif
