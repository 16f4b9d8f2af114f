/* inbound.h: packets from a client that the core handles by itself. Each returns MQ_OK, or the status that ends the connection.
 */
#ifndef MQ_INBOUND_H
#define MQ_INBOUND_H
#include "conn.h"

int mq_in_publish(mq_conn *conn, uint8_t first, uint8_t *body, uint32_t n);   /* publish.c */
int mq_in_ack(mq_conn *conn, uint8_t first, const uint8_t *body, uint32_t n); /* acks.c */

/* To the owner, after the messages that came before it (frames.c). */
int mq_hand_up(mq_conn *conn, uint8_t first, const uint8_t *body, uint32_t n);

/* For log_type debug; only called while core->trace is on. */
void mq_trace_in(const mq_conn *conn, uint8_t first, uint16_t mid, int reason);
void mq_trace_out(const mq_conn *conn, uint8_t first, uint16_t mid, int reason);

#endif
