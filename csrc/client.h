/* client.h: the other end of a connection: the core as the client of a server.
 *
 * Theory of operation. A connection in the client role is read, written and framed as any other. It differs in three things:
 * which packets it takes (frames.c has one table for both roles); that what its session holds are messages to be published,
 * for which the queue, the window and the states of session.c serve as they are; and in what becomes of a PUBLISH that came.
 * That is one switch: it is handed up (a tool prints it) or routed (a bridge brings it to the subscribers here).
 *
 *      PUBLISH --> publish.c --> [ batch: copied, one behind the other ] --> mq_on_messages at the end of the receive
 *      PUBREL  --> acks.c   ---^
 *
 * A batch leaves earlier when it has grown large, when another packet is handed up, and after each message while mq_core_trace
 * is on, so that order and debug lines are those of the packets. What it holds has been acknowledged already.
 */
#ifndef MQ_CLIENT_H
#define MQ_CLIENT_H
#include "core.h"

/* A message in a batch: topic, properties (as received) and payload stand at `at`, one behind the other. Six equal numbers,
 * because Python reads them as one array. */
typedef struct mq_received {
	uint32_t at, topic_n, properties_n, payload_n;
	uint32_t mid;   /* 0 with QoS 0 */
	uint32_t first; /* the first byte of the PUBLISH: DUP, QoS, RETAIN */
} mq_received;

/* What every message of a call has in common. properties: encoded, without length, without Topic Alias. */
typedef struct mq_outgoing {
	const uint8_t *topic, *properties;
	uint32_t topic_n, properties_n;
	uint16_t alias; /* to be used for the topic where the server allows that many; 0 = none */
	uint8_t qos, retain;
} mq_outgoing;

/* A connection on which CONNECT is sent next (mq_conn_send). Until mq_conn_accept, which the CONNACK leads to, only CONNACK,
 * DISCONNECT and AUTH pass. max_packet, receive_max: Maximum Packet Size and Receive Maximum that CONNECT states, 0 = none. It has
 * no keepalive wheel. */
mq_conn *mq_client_new(mq_core *core, int fd, uint32_t owner, uint8_t version, uint32_t max_packet, uint32_t receive_max);
void mq_client_route(mq_conn *conn, int on);       /* accepted messages are routed here, and not handed up */
void mq_client_batch(mq_conn *conn, uint32_t max); /* messages to hand up, and so to acknowledge, at once; 0: as many as came */
void mq_client_ended(mq_conn *conn); /* DISCONNECT was sent: what comes is not looked at any more, and not acknowledged */

/* MQ_OK: sent or queued; MQ_NONE: QoS 0 while not connected, lost; MQ_OVERSIZE: larger than the server takes; MQ_NOMEM.
 * *mid: its packet identifier, one also for QoS 0, where it does not leave the client. Topic and properties are valid. */
int mq_client_publish(mq_session *session, const mq_outgoing *how, const uint8_t *payload, size_t n, uint16_t *mid);
/* A message for each line of data (its newline left away; with last also what follows the last newline), until as many
 * messages wait as mq_client_room leaves, or one fails (*status, as mq_client_publish; that QoS 0 is lost while not connected is
 * no failure). How many bytes are done; *count: messages. */
size_t mq_client_lines(
	mq_session *session, const mq_outgoing *how, const uint8_t *data, size_t n, int last, size_t *count, int *status);
/* Messages that may be added before memory is more than the server's slowness is worth; 0: wait. */
uint32_t mq_client_room(const mq_session *session);
uint32_t mq_client_pending(const mq_session *session); /* QoS 1 and 2 messages not completed yet */
uint64_t mq_client_unsent(const mq_conn *conn);        /* bytes of output that the socket has not taken */
uint32_t mq_client_quiet(const mq_conn *conn);         /* seconds since something was sent, or received: the longer of the two */
void mq_client_forget(mq_session *session);            /* the server has no session: incoming QoS 2 messages start anew */
uint16_t mq_client_next_mid(mq_session *session);      /* a packet identifier for SUBSCRIBE or UNSUBSCRIBE; 0: no memory */

/* The messages of a batch as mosquitto_sub prints them: [topic, space,] payload, newline (see mosq/client/messages.py); out has
 * room for the batch and eight bytes for each message. How many bytes were written. */
size_t mq_received_lines(const uint8_t *bytes, const mq_received *received, size_t n, int topics, int newline, uint8_t *out);

#endif
