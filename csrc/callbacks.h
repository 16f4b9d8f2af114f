/* callbacks.h: what the core asks of, or tells, its owner. cffi makes these functions of Python ones (mosq/core.py); the
 * fuzz targets bring their own. user is what mq_core_new was given, owner what mq_conn_new was given.
 */
#ifndef MQ_CALLBACKS_H
#define MQ_CALLBACKS_H
#include <stddef.h>
#include <stdint.h>

/* CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT or AUTH, whole: first is the first byte of the fixed header, body what follows
 * the remaining length. In the client role CONNACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT, AUTH, and, after they were
 * handled, PUBACK, PUBREC and PUBCOMP that refuse. Not 0: handle no more input of this connection in this turn. */
int mq_on_packet(void *user, uint32_t owner, uint8_t first, const uint8_t *body, size_t n);

/* Messages for a connection in the client role (client.h), n of them, at least one. Not 0: as mq_on_packet. */
struct mq_received;
int mq_on_messages(
	void *user, uint32_t owner, const uint8_t *bytes, size_t bytes_n, const struct mq_received *received, size_t n);

/* A PUBLISH to $CONTROL/...: topic without, the acknowledgement is sent by the callee. mid is 0 with QoS 0. */
int mq_on_control(void *user, uint32_t owner, uint8_t qos, uint16_t mid, const uint8_t *topic, size_t topic_n,
	const uint8_t *payload, size_t payload_n);

/* The socket took only a part (error 0: ask for EPOLLOUT) or failed (errno). */
void mq_on_output(void *user, uint32_t owner, int error);

/* May the client with this identifier do access (enum mq_access) with a topic? MQ_OK, MQ_NONE: no, MQ_NOMEM: no answer. Asked
 * while a message is on its way to its subscribers: must not change connections, sessions or subscriptions. payload is NULL
 * when the answer will be remembered. */
int mq_on_access(void *user, const uint8_t *client_id, size_t n, int access, const uint8_t *topic, size_t topic_n,
	const uint8_t *payload, size_t payload_n, uint8_t qos, int retain);

/* May whoever published a retained message still do so? As mq_on_access. username_n -1: an anonymous client. */
int mq_on_source(void *user, const uint8_t *client_id, size_t n, const uint8_t *username, int username_n, uint16_t port,
	const uint8_t *topic, size_t topic_n);

/* Something to log about a client: one of MQ_NOTICE_...; must not call into the core. */
void mq_on_notice(void *user, int notice, const uint8_t *client_id, size_t n, uint32_t value);

/* A packet received or sent, while mq_core_trace is on; what is the packet's first byte, sent is 0 or 1, and rc the reason
 * code of an acknowledgement. verdict: MQ_TRACE_... Must not call into the core. */
void mq_on_trace(void *user, int sent, const uint8_t *client_id, size_t id_n, uint8_t first, uint16_t mid, int rc,
	const uint8_t *topic, size_t topic_n, uint32_t payload_n, int verdict);

enum mq_notice {
	MQ_NOTICE_DROPPING,      /* Outgoing messages are being dropped for client; once per connection */
	MQ_NOTICE_TOO_LARGE,     /* Dropping too large outgoing PUBLISH; value = remaining length */
	MQ_NOTICE_REUSED_MID,    /* value = packet identifier */
	MQ_NOTICE_RECEIVE_MAX,   /* receive maximum exceeded by the client */
	MQ_NOTICE_UNKNOWN_PUBREC /* value = packet identifier */
};
enum mq_trace { MQ_TRACE_PLAIN, MQ_TRACE_DENIED, MQ_TRACE_TOO_LARGE };

#endif
