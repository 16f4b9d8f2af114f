/* wire.h: MQTT on the wire, sans I/O. Variable byte integers, UTF-8, the walk over properties.
 *
 * Every function takes a pointer and a length and reads nothing beyond; every one is a fuzz target's business. The table of
 * properties (identifier, type, places, range) stands once, in wire.c. The functions that Python uses as well
 * (mq_utf8_valid, mq_properties_walk) are declared in core.h.
 */
#ifndef MQ_WIRE_H
#define MQ_WIRE_H
#include "core.h"
#include <string.h>

#define MQ_VARINT_MAX 268435455u

enum mq_packet {
	MQ_CONNECT = 1,
	MQ_CONNACK,
	MQ_PUBLISH,
	MQ_PUBACK,
	MQ_PUBREC,
	MQ_PUBREL,
	MQ_PUBCOMP,
	MQ_SUBSCRIBE,
	MQ_SUBACK,
	MQ_UNSUBSCRIBE,
	MQ_UNSUBACK,
	MQ_PINGREQ,
	MQ_PINGRESP,
	MQ_DISCONNECT,
	MQ_AUTH
};

static inline uint16_t mq_get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t mq_get32(const uint8_t *p) { return (uint32_t)mq_get16(p) << 16 | mq_get16(p + 2); }
static inline uint8_t *mq_put16(uint8_t *p, uint16_t v) {
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}
static inline uint8_t *mq_put32(uint8_t *p, uint32_t v) {
	p = mq_put16(p, (uint16_t)(v >> 16));
	return mq_put16(p, (uint16_t)v);
}
static inline uint8_t *mq_put(uint8_t *p, const void *s, size_t n) {
	memcpy(p, s, n);
	return p + n;
}

/* Bytes that the variable byte integer at p takes (1 to 4); 0: not all of it is there yet; -1: a fifth byte would follow. */
int mq_varint_get(const uint8_t *p, size_t n, uint32_t *value);
/* The same for integers inside properties, where an over-long encoding is malformed (-1) too. */
int mq_varint_get_strict(const uint8_t *p, size_t n, uint32_t *value);
uint8_t *mq_varint_put(uint8_t *p, uint32_t value);
static inline size_t mq_varint_size(uint32_t v) { return v < 128 ? 1 : v < 16384 ? 2 : v < 2097152 ? 3 : 4; }

/* The properties of a PUBLISH (section 3.3.2.3) from a client (place MQ_IN_PUBLISH), from a server (MQ_IN_DELIVERY) or of a
 * stored message (MQ_IN_STORED), checked. What is forwarded unchanged (payload format, content type, response topic, correlation
 * data, user properties; in the order received) is copied to forward, which has room for n bytes and may be data itself; NULL: is
 * only counted. */
typedef struct mq_publish_properties {
	uint32_t expiry;    /* seconds; 0 and 0xFFFFFFFF on the wire both give 0 = never */
	uint32_t forward_n; /* bytes that are forwarded */
	uint32_t bad;       /* the identifier that was at fault */
	uint32_t id;        /* subscription identifier, 0 = none */
	uint16_t alias;     /* 0 = none */
} mq_publish_properties;
int mq_publish_properties_read(int place, const uint8_t *data, size_t n, mq_publish_properties *out, uint8_t *forward);

/* Is there a property with this identifier? What could not be read as an identifier counts as known: there is nothing to name. */
int mq_property_known(uint32_t id);

#endif
