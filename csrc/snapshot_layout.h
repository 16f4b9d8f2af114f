/* snapshot_layout.h: the chunks of mosquitto.db, byte by byte: a body is taken apart into its fields.
 *
 * There are two layouts. In versions 2 to 4 the fields follow each other, each string with its length in front; from version 5 on
 * numbers and lengths are in a fixed part, the strings behind it, and properties at the end. Numbers are big-endian, but ids and
 * times, which are in the byte order of the machine that wrote them.
 */
#ifndef MQ_SNAPSHOT_LAYOUT_H
#define MQ_SNAPSHOT_LAYOUT_H
#include "durable.h"
#include "snapshot.h"

#define MQ_LAYOUT_5 5 /* the first version of the second layout */

/* The first thing that is wrong with a body (enum mq_bad). */
typedef struct mq_flaw {
	const uint8_t *at; /* NULL: nothing is */
	uint64_t value, wanted;
	uint8_t why;
} mq_flaw;

/* What a chunk of any type says; strings point into it, and are NULL when they are empty. */
typedef struct mq_body {
	const uint8_t *start;
	mq_flaw flaw;
	mq_record message;    /* BASE_MSG, but for the properties */
	mq_delivery delivery; /* CLIENT_MSG, but for the subscription identifier */
	const uint8_t *client_id, *username, *filter;
	const uint8_t *properties; /* a list with its length in front, and whatever is behind it */
	uint64_t id;               /* a store id, or the last one (CFG) */
	int64_t expires;
	uint32_t interval, subscription_id, properties_n;
	uint16_t client_id_n, username_n, filter_n, last_mid, port;
	uint8_t options;
} mq_body;

static inline void mq_body_flaw(mq_body *b, int why, const uint8_t *at, uint64_t value, uint64_t wanted) {
	if (!b->flaw.at) b->flaw = (mq_flaw){.at = at, .why = (uint8_t)why, .value = value, .wanted = wanted};
}

/* The body [p, p + n) of a chunk of a known type, with its length right in front of p. */
void mq_layout_read(int version, uint32_t type, const uint8_t *p, uint32_t n, mq_body *out);

#endif
