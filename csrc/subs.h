/* subs.h: who subscribes to what: subscribers on the nodes of the subscription tree.
 *
 *   node->load = mq_fans:  fans  [session, id, options, sub] [session, ...] ...      in the order of subscribing
 *                          groups -> "$share group": the same array and a cursor -> next group
 *
 * The array is packed, since a publish walks it; the mq_sub beside each entry is the way back from a session to its
 * subscriptions. An ended subscription leaves a hole (session NULL) until a quarter of the array is holes, so that thousands of
 * clients of one filter may leave in linear time, and order stays.
 */
#ifndef MQ_SUBS_H
#define MQ_SUBS_H
#include "core.h"
#include "tree.h"

/* The byte of subscription options, MQTT 5.0 section 3.8.3.1. */
#define MQ_SUB_QOS 0x03
#define MQ_SUB_NO_LOCAL 0x04
#define MQ_SUB_AS_PUBLISHED 0x08

typedef struct mq_sub mq_sub;

typedef struct mq_fan {
	mq_session *session;
	mq_sub *sub;
	uint32_t id;
	uint8_t options;
} mq_fan;

typedef struct mq_ring {
	mq_fan *fans;
	uint32_t n, room, holes, cursor; /* cursor: groups only, index of the next member to serve */
} mq_ring;

typedef struct mq_group {
	struct mq_group *next, *prev; /* in the order of their making */
	struct mq_group *chain;       /* in the same bucket */
	mq_ring ring;
	uint32_t hash;
	uint16_t name_n;
	uint8_t name[];
} mq_group;

/* The groups of one node; a client may make as many as it likes, so they are found by hash. */
typedef struct mq_groups {
	mq_group *first, *last;
	mq_group **buckets; /* mask + 1 of them, a power of two */
	uint32_t n, mask;
	mq_group *few[4]; /* the buckets, while there are no more */
} mq_groups;

typedef struct mq_fans {
	mq_ring ring;
	mq_groups *groups; /* NULL: none */
} mq_fans;

struct mq_sub {
	mq_sub *prev, *next; /* the session's subscriptions */
	mq_session *session;
	mq_node *node;
	mq_group *group; /* NULL: an ordinary subscription */
	uint32_t at;     /* index in the ring */
};

void mq_subs_end(mq_session *session);        /* all subscriptions of a session */
void mq_fans_drop(mq_core *core, void *load); /* for mq_tree_free */
mq_fan *mq_group_turn(mq_group *group);       /* the member whose turn it is, who moves to the tail; NULL: none */

#endif
