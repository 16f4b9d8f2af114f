/* wire.c: see wire.h and the "bytes" section of core.h.
 *
 * Theory of operation. Three layers, each knowing only the one below: integers, strings, properties. A property is read by
 * take(), which looks its identifier up in one table, `kinds`: what it looks like on the wire, where it may stand and which
 * values are wrong. Both walks (mq_properties_walk for Python, mq_publish_properties_read for the hot path) are loops around
 * take(). Nothing here allocates, and nothing reads at or beyond `end`.
 */
#include "wire.h"
#include "topic.h"

/* ---- integers -------------------------------------------------------------------------------------------------------- */

int mq_varint_get(const uint8_t *p, size_t n, uint32_t *value) {
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (i == n) return 0;
		v |= (uint32_t)(p[i] & 0x7F) << (7 * i);
		if (p[i] < 0x80) {
			*value = v;
			return (int)i + 1;
		}
	}
	return -1;
}

int mq_varint_get_strict(const uint8_t *p, size_t n, uint32_t *value) {
	int used = mq_varint_get(p, n, value);

	if (used > 1 && p[used - 1] == 0) /* the last byte adds nothing: fewer would have done */
		return -1;
	return used;
}

uint8_t *mq_varint_put(uint8_t *p, uint32_t value) {
	while (value > 0x7F) {
		*p++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*p++ = (uint8_t)value;
	return p;
}

/* ---- UTF-8 ----------------------------------------------------------------------------------------------------------- */

#define EACH(byte) (0x0101010101010101u * (byte))

/* Eight bytes at once: 0 if all are ASCII and none is a control character. The borrow of the subtraction can mark a byte
 * only if a lower one is marked rightly, and the addition cannot carry out of bytes below 0x80, which the first term assures. */
static uint64_t unusual(uint64_t w) { return (w | (w - EACH(0x20)) | (w + EACH(0x01))) & EACH(0x80); }

static int continues(uint8_t byte) { return (byte & 0xC0) == 0x80; }

/* Bytes of the well-formed, permitted character at s (1 to 4); 0: there is none. */
static size_t character(const uint8_t *s, size_t n) {
	uint32_t code;

	if (s[0] < 0x80) return s[0] >= 0x20 && s[0] != 0x7F;
	if (s[0] < 0xE0) {
		if (s[0] < 0xC2 || n < 2 || !continues(s[1])) return 0;
		return s[0] == 0xC2 && s[1] < 0xA0 ? 0 : 2; /* U+0080 to U+009F are control characters */
	}
	if (s[0] < 0xF0) {
		if (n < 3 || !continues(s[1]) || !continues(s[2])) return 0;
		code = (uint32_t)(s[0] & 0x0F) << 12 | (uint32_t)(s[1] & 0x3F) << 6 | (s[2] & 0x3F);
		if (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF) || (code >= 0xFDD0 && code <= 0xFDEF)) return 0;
		return code >= 0xFFFE ? 0 : 3;
	}
	if (s[0] > 0xF4 || n < 4 || !continues(s[1]) || !continues(s[2]) || !continues(s[3])) return 0;
	code = (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3F) << 12 | (uint32_t)(s[2] & 0x3F) << 6 | (s[3] & 0x3F);
	if (code < 0x10000 || code > 0x10FFFF) return 0;
	return (code & 0xFFFE) == 0xFFFE ? 0 : 4;
}

int mq_utf8_valid(const uint8_t *s, size_t n) {
	while (n) {
		uint64_t w;
		size_t used;

		if (n >= sizeof w) {
			memcpy(&w, s, sizeof w);
			if (!unusual(w)) {
				s += sizeof w;
				n -= sizeof w;
				continue;
			}
		}
		used = character(s, n);
		if (!used) return 0;
		s += used;
		n -= used;
	}
	return 1;
}

/* ---- properties ------------------------------------------------------------------------------------------------------ */

enum type { NO_PROPERTY, BYTE, TWO_BYTE, FOUR_BYTE, VARINT, STRING, BINARY, PAIR };
enum range { ANY, BOOLEAN, NOT_ZERO, TOPIC };

#define AT(place) (1u << MQ_IN_##place)
#define ANYWHERE 0xFFFFu
#define IN_MESSAGE (AT(WILL) | AT(PUBLISH) | AT(DELIVERY) | AT(STORED))

/* MQTT 5.0, table 2-4. SUBACK and UNSUBACK have the properties of the acknowledgements. */
static const struct kind {
	uint8_t type, range;
	uint16_t places;
} kinds[] = {
	[0x01] = {BYTE, BOOLEAN, IN_MESSAGE},                                      /* Payload Format Indicator */
	[0x02] = {FOUR_BYTE, ANY, IN_MESSAGE},                                     /* Message Expiry Interval */
	[0x03] = {STRING, ANY, IN_MESSAGE},                                        /* Content Type */
	[0x08] = {STRING, TOPIC, IN_MESSAGE},                                      /* Response Topic */
	[0x09] = {BINARY, ANY, IN_MESSAGE},                                        /* Correlation Data */
	[0x0B] = {VARINT, NOT_ZERO, AT(SUBSCRIBE) | AT(DELIVERY) | AT(STORED)},    /* Subscription Identifier */
	[0x11] = {FOUR_BYTE, ANY, AT(CONNECT) | AT(DISCONNECT) | AT(CONNACK)},     /* Session Expiry Interval */
	[0x12] = {STRING, ANY, AT(CONNACK)},                                       /* Assigned Client Identifier */
	[0x13] = {TWO_BYTE, ANY, AT(CONNACK)},                                     /* Server Keep Alive */
	[0x15] = {STRING, ANY, AT(CONNECT) | AT(AUTH) | AT(CONNACK)},              /* Authentication Method */
	[0x16] = {BINARY, ANY, AT(CONNECT) | AT(AUTH) | AT(CONNACK)},              /* Authentication Data */
	[0x17] = {BYTE, BOOLEAN, AT(CONNECT)},                                     /* Request Problem Information */
	[0x18] = {FOUR_BYTE, ANY, AT(WILL)},                                       /* Will Delay Interval */
	[0x19] = {BYTE, BOOLEAN, AT(CONNECT)},                                     /* Request Response Information */
	[0x1A] = {STRING, ANY, AT(CONNACK)},                                       /* Response Information */
	[0x1C] = {STRING, ANY, AT(DISCONNECT) | AT(CONNACK)},                      /* Server Reference */
	[0x1F] = {STRING, ANY, AT(ACK) | AT(DISCONNECT) | AT(AUTH) | AT(CONNACK)}, /* Reason String */
	[0x21] = {TWO_BYTE, NOT_ZERO, AT(CONNECT) | AT(CONNACK)},                  /* Receive Maximum */
	[0x22] = {TWO_BYTE, ANY, AT(CONNECT) | AT(CONNACK)},                       /* Topic Alias Maximum */
	[0x23] = {TWO_BYTE, NOT_ZERO, AT(PUBLISH) | AT(DELIVERY) | AT(STORED)},    /* Topic Alias */
	[0x24] = {BYTE, BOOLEAN, AT(CONNACK)},                                     /* Maximum QoS */
	[0x25] = {BYTE, BOOLEAN, AT(CONNACK)},                                     /* Retain Available */
	[0x26] = {PAIR, ANY, ANYWHERE},                                            /* User Property */
	[0x27] = {FOUR_BYTE, NOT_ZERO, AT(CONNECT) | AT(CONNACK)},                 /* Maximum Packet Size */
	[0x28] = {BYTE, BOOLEAN, AT(CONNACK)},                                     /* Wildcard Subscription Available */
	[0x29] = {BYTE, BOOLEAN, AT(CONNACK)},                                     /* Subscription Identifier Available */
	[0x2A] = {BYTE, BOOLEAN, AT(CONNACK)},                                     /* Shared Subscription Available */
};
#define KINDS (sizeof kinds / sizeof kinds[0])
#define SUBSCRIPTION_ID 0x0B
#define USER_PROPERTY 0x26
#define ID_UNREADABLE UINT32_MAX

/* What is left of a list, and which identifiers came by (all are below 64). */
struct cursor {
	const uint8_t *p, *end;
	uint64_t seen;
};

static int take_integer(struct cursor *c, uint8_t type, uint32_t *value) {
	size_t left = (size_t)(c->end - c->p);
	int used;

	switch (type) {
	case BYTE:
		used = left < 1 ? 0 : 1;
		if (used) *value = c->p[0];
		break;
	case TWO_BYTE:
		used = left < 2 ? 0 : 2;
		if (used) *value = mq_get16(c->p);
		break;
	case FOUR_BYTE:
		used = left < 4 ? 0 : 4;
		if (used) *value = mq_get32(c->p);
		break;
	default: used = mq_varint_get_strict(c->p, left, value);
	}
	if (used <= 0) return MQ_MALFORMED;
	c->p += used;
	return MQ_OK;
}

static int take_bytes(struct cursor *c, int text, const uint8_t **data, uint32_t *len) {
	size_t left = (size_t)(c->end - c->p);

	if (left < 2 || left - 2 < mq_get16(c->p)) return MQ_MALFORMED;
	*len = mq_get16(c->p);
	*data = c->p + 2;
	c->p += 2 + *len;
	return text && !mq_utf8_valid(*data, *len) ? MQ_BAD_UTF8 : MQ_OK;
}

static int in_range(const struct kind *kind, const mq_property *property) {
	switch (kind->range) {
	case BOOLEAN: return property->value <= 1;
	case NOT_ZERO: return property->value != 0;
	case TOPIC: return mq_topic_valid(property->data, property->len);
	default: return 1;
	}
}

int mq_property_known(uint32_t id) { return id == ID_UNREADABLE || (id < KINDS && kinds[id].type != NO_PROPERTY); }

/* A message that matched several subscriptions brings the identifiers of all. */
static int repeatable(uint32_t id, int place) {
	return id == USER_PROPERTY || (id == SUBSCRIPTION_ID && place == MQ_IN_DELIVERY);
}

/* Take the next property of a list that is not empty. The order of the checks decides which error is reported: value,
 * permission in this place, duplicate. */
static int take(struct cursor *c, int place, mq_property *property) {
	const struct kind *kind;
	int status;

	*property = (mq_property){.id = ID_UNREADABLE};
	if (take_integer(c, VARINT, &property->id)) return MQ_MALFORMED;
	if (!mq_property_known(property->id)) return MQ_MALFORMED;
	kind = &kinds[property->id];

	if (kind->type < STRING) status = take_integer(c, kind->type, &property->value);
	else status = take_bytes(c, kind->type != BINARY, &property->data, &property->len);
	if (status == MQ_OK && kind->type == PAIR) status = take_bytes(c, 1, &property->data2, &property->len2);
	if (status != MQ_OK) return status;

	if (!in_range(kind, property) || !(kind->places & 1u << place)) return MQ_PROTOCOL;
	if (c->seen & UINT64_C(1) << property->id && !repeatable(property->id, place)) return MQ_DUPLICATE_PROPERTY;
	c->seen |= UINT64_C(1) << property->id;
	return MQ_OK;
}

int mq_properties_walk(int place, const uint8_t *data, size_t n, mq_property *out, size_t max, size_t *count, uint32_t *bad) {
	struct cursor c = {.p = data, .end = n ? data + n : data};

	*count = 0;
	*bad = 0;
	while (c.p != c.end) {
		mq_property property;
		int status = take(&c, place, &property);

		if (status != MQ_OK) {
			*bad = property.id;
			return status;
		}
		if (*count < max) out[*count] = property;
		(*count)++;
	}
	return MQ_OK;
}

static uint32_t keep(uint8_t *forward, size_t at, const uint8_t *s, size_t n) {
	if (forward) memmove(forward + at, s, n);
	return (uint32_t)n;
}

int mq_publish_properties_read(int place, const uint8_t *data, size_t n, mq_publish_properties *out, uint8_t *forward) {
	struct cursor c = {.p = data, .end = n ? data + n : data};

	*out = (mq_publish_properties){0};
	while (c.p != c.end) {
		const uint8_t *start = c.p;
		mq_property property;
		int status = take(&c, place, &property);

		if (status != MQ_OK) {
			out->bad = property.id;
			return status;
		}
		if (property.id == 0x02) out->expiry = property.value == UINT32_MAX ? 0 : property.value;
		else if (property.id == 0x23) out->alias = (uint16_t)property.value;
		else if (property.id == SUBSCRIPTION_ID) out->id = property.value;
		else out->forward_n += keep(forward, out->forward_n, start, (size_t)(c.p - start));
	}
	return MQ_OK;
}
