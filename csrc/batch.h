/* batch.h: messages that a connection in the client role has accepted, on their way up (client.h has the picture).
 */
#ifndef MQ_BATCH_H
#define MQ_BATCH_H
#include "client.h"
#include "conn.h"
#include "message.h"
#include "route.h"

int mq_batch_add(mq_core *core, const mq_view *view, uint8_t first, uint16_t mid); /* MQ_OK or MQ_NOMEM */

/* What becomes of an accepted message: handed up or routed. As mq_route; first, mid: of the PUBLISH. */
static inline int mq_accepted(mq_conn *c, mq_view *view, uint8_t first, uint16_t mid) {
	return c->hand_up ? mq_batch_add(c->core, view, first, mid) : mq_route(c->core, c->session, view);
}
int mq_batch_flush(mq_conn *conn);      /* hand up what has gathered. Not 0: no more input in this turn */
int mq_batch_ripe(const mq_conn *conn); /* of a connection that hands up */
void mq_batch_free(mq_core *core);

#endif
