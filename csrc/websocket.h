/* websocket.h: RFC 6455 frames between a byte stream and a connection, for either end of the stream. Sans I/O.
 *
 *   stream -> mq_ws_feed   -> payloads, unmasked where they lie     -> mq_conn_feed
 *   stream <- mq_ws_output <- one binary frame for each MQTT packet <- mq_conn_output
 *
 * Theory of operation. MQTT packets need not align with frames [MQTT-6.0.0-4], so nothing is gathered on the way in: payload
 * goes to the connection as it comes, whatever the frame claims to have, and what is kept is an incomplete frame header and
 * the payload of a control frame (125 bytes). A ping is answered, the latest if there are several, and so is Close, with the
 * next output and between two frames. On the way out a large packet is framed piece by piece, as there is room.
 *
 * The end: after Close, and after an error of the peer, nothing more is read, and nothing but our Close is written.
 */
#ifndef MQ_WEBSOCKET_H
#define MQ_WEBSOCKET_H
#include "core.h"

/* Output is asked for in pieces of at least this size. */
#define MQ_WS_ROOM 512

typedef struct mq_ws mq_ws;

/* Close codes (section 7.4.1). */
enum mq_ws_code {
	MQ_WS_NORMAL = 1000,
	MQ_WS_PROTOCOL = 1002,
	MQ_WS_NOT_BINARY = 1003,
	MQ_WS_NO_CODE = 1005, /* never in a frame: a Close without a code */
	MQ_WS_NOT_UTF8 = 1007
};

/* Around a connection without descriptor, which is to outlive it. client: this is the end that masks. NULL: no memory. */
mq_ws *mq_ws_new(mq_conn *conn, int client);
void mq_ws_free(mq_ws *ws);

/* The server unmasks payload where it lies; for the client data stays as it is. MQ_EOF after a Close, MQ_PROTOCOL after an error
 * of the peer, who is sent a Close; else what mq_conn_feed returned last. There may be output afterwards in any case. */
int mq_ws_feed(mq_ws *ws, uint8_t *data, size_t n);

/* Bytes put into out, at most room (MQ_WS_ROOM or more); 0: there is nothing to write. */
size_t mq_ws_output(mq_ws *ws, uint8_t *out, size_t room);

void mq_ws_close(mq_ws *ws); /* send Close when there is no other output left */

/* Why it ended: the code of the peer's Close, or the one we refused its input with; 0: it has not ended. */
int mq_ws_code(const mq_ws *ws);

/* One step of mq_ws_feed: the bytes used of data, and where the payload in them is, if any (piece_n 0: none). It is not to be
 * called once mq_ws_code says that the stream has ended. */
size_t mq_ws_next(mq_ws *ws, uint8_t *data, size_t n, uint8_t **piece, size_t *piece_n);

#endif
