/* route.h: an accepted message on its way to subscribers and to the retained store. Permission to publish was settled before.
 */
#ifndef MQ_ROUTE_H
#define MQ_ROUTE_H
#include "core.h"
#include "message.h"

/* origin: the publisher's session, for no-local; NULL: none. MQ_OK; MQ_NONE: no subscription matches; MQ_NOMEM. */
int mq_route(mq_core *core, mq_session *origin, mq_view *view);
/* Keep as the retained message of its topic, or delete that one (empty payload). */
int mq_retain(mq_core *core, mq_view *view);
void mq_retained_drop(mq_core *core, void *load); /* for mq_tree_free */

/* A retained message to a session that subscribed with this QoS and identifier. */
void mq_send_retained(mq_session *session, mq_view *view, uint8_t granted, uint32_t id);

#endif
