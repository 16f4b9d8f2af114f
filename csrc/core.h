/* core.h: the one header Python sees. The builder hands its declarations to cffi, so it holds plain C declarations only.
 *
 * Theory of operation. An mq_core owns everything that moves once per message: the subscription tree, the retained tree,
 * the sessions' queues and windows, the connections' input and output. Python creates and ends connections and sessions
 * and decides; the core carries. Three rules keep the two halves apart:
 *
 *   1. A callback (mq_on_...) may call back into the core, with two exceptions written at mq_on_trace and mq_on_notice.
 *   2. mq_conn_close and mq_session_free take effect at once for everybody else, but the memory lives until
 *      mq_core_reap, so that a loop in C that is inside the object can notice and stop.
 *   3. The core never reads a clock: mq_core_clock is called once per turn.
 *
 * Numbers are in host order, lengths in bytes, times in whole seconds. Strings are pointer and length, never terminated.
 */
#ifndef MQ_CORE_H
#define MQ_CORE_H
#include <stddef.h>
#include <stdint.h>

typedef struct mq_core mq_core;
typedef struct mq_conn mq_conn;
typedef struct mq_session mq_session;

/* How a call ended. Everything after MQ_EOF ends the connection it was said of; mosq/faults.py has one row for each:
 * the DISCONNECT code, the log line (its numbers come from mq_conn_fault) and the text of the disconnect line. */
enum mq_status {
	MQ_OK = 0,
	MQ_BLOCKED, /* output remains: wait until the socket takes more */
	MQ_PAUSED,  /* the peer does not read its answers: read nothing more until output has drained */
	MQ_STOPPED, /* closed by Python in a callback: nothing more to do */
	MQ_NONE,    /* no such thing (unsubscribe), no subscriber (publish) */
	MQ_EXISTS,  /* the subscription was there already */
	MQ_EOF,     /* the peer closed, or reset, the connection */
	MQ_ERRNO,   /* socket error; a = errno */
	MQ_NOMEM,
	/* framing, section 2.1.4; closed without an answer unless said */
	MQ_NOT_CONNECT,    /* first packet is not CONNECT; a = first byte */
	MQ_RESERVED,       /* packet type 0; answered with 0x82 */
	MQ_LENGTH,         /* remaining length of five bytes, or wrong for a packet of fixed length */
	MQ_OVERSIZE_FIXED, /* larger than the fixed limit of its packet type */
	MQ_OVERSIZE,       /* larger than max_packet_size; answered with 0x95 */
	/* contents */
	MQ_MALFORMED,           /* 0x81 */
	MQ_PROTOCOL,            /* 0x82 */
	MQ_DUPLICATE_PROPERTY,  /* 0x82 */
	MQ_UNKNOWN_PROPERTY,    /* 0x81; a = identifier */
	MQ_BAD_UTF8,            /* invalid UTF-8 in a property: closed without an answer */
	MQ_NOT_ACTIVE,          /* 0x82; packet before the session is active; a = packet type */
	MQ_NOT_FROM_CLIENT,     /* 0x82; a packet only the other role sends: a server; towards a server, a client; a = packet type */
	MQ_MID_ZERO,            /* 0x82; a = packet type */
	MQ_REASON_CODE,         /* 0x82; a = packet type, b = reason code */
	MQ_ACK_PROPERTIES,      /* as MQ_PROTOCOL or MQ_MALFORMED (b), with a line of its own; a = packet type */
	MQ_PUBLISH_DUP_QOS0,    /* 0x81 */
	MQ_PUBLISH_QOS3,        /* 0x81 */
	MQ_PUBLISH_QOS_MAX,     /* 0x9B */
	MQ_PUBLISH_RETAIN,      /* 0x9A */
	MQ_PUBLISH_ALIAS_MAX,   /* 0x94 */
	MQ_PUBLISH_ALIAS,       /* 0x82; a = alias that was never set */
	MQ_PUBLISH_DUP_TWICE,   /* 0x82; the same QoS 2 PUBLISH came a third time */
	MQ_PUBLISH_RECEIVE_MAX, /* client role, 0x93; more QoS 2 than Receive Maximum allows */
	MQ_PUBREL_FLAGS,        /* 0x82; a = first byte */
	MQ_ACK_QOS,             /* 0x82; a = QoS of the message, b = QoS of the acknowledgement, c = 0 deleting, 1 updating */
	MQ_ACK_STATE,           /* 0x82; a = state found, b = state expected (session.h, enum mq_state) */
	MQ_QUOTA,               /* the peer's backlog is full when a refusal should be sent: closed without an answer */
	MQ_BAD_FILTER,          /* topic filter or name: wildcard misuse, too many levels, empty */
	MQ_BAD_SHARE,           /* $share without group or filter */
	MQ_STORE                /* 0x97; the durable store cannot take the message (mq_core_refuse) */
};

/* Where a property list stands; decides which identifiers it may hold (MQTT 5.0, table 2-4). */
enum mq_place {
	MQ_IN_CONNECT,
	MQ_IN_WILL,
	MQ_IN_PUBLISH,
	MQ_IN_ACK,
	MQ_IN_SUBSCRIBE,
	MQ_IN_UNSUBSCRIBE,
	MQ_IN_DISCONNECT,
	MQ_IN_AUTH,
	MQ_IN_STORED, /* a message in a file: as in PUBLISH, and subscription identifiers */
	MQ_IN_CONNACK,
	MQ_IN_DELIVERY /* PUBLISH from a server */
};

/* What this end of a connection is. */
enum mq_role { MQ_SERVER, MQ_CLIENT };

typedef struct mq_property {
	uint32_t id;         /* property identifier */
	uint32_t value;      /* integers */
	const uint8_t *data; /* strings and binary; the name of a user property */
	uint32_t len;
	const uint8_t *data2; /* the value of a user property */
	uint32_t len2;
} mq_property;

/* Options of mosquitto.conf that act per message. Python writes the fields; 0 means no limit. */
typedef struct mq_options {
	uint64_t max_inflight_bytes, max_queued_bytes, memory_limit;
	uint32_t max_inflight_messages, max_queued_messages, max_packet_size, message_size_limit;
	uint8_t retain_available, upgrade_outgoing_qos, queue_qos0_messages, allow_duplicate_messages, check_retain_source;
} mq_options;

/* Counters since start, and levels, for $SYS. */
typedef struct mq_stats {
	uint64_t bytes_received, bytes_sent, messages_received, messages_sent;
	uint64_t publish_received, publish_sent, publish_dropped, publish_bytes_received, publish_bytes_sent;
	uint64_t out_packets, out_bytes; /* waiting in output chains */
	uint64_t stored, stored_bytes;   /* message bodies held: retained, queued, in flight */
	uint64_t retained, subscriptions, shared_subscriptions;
	uint64_t heap, heap_max; /* bytes the core holds, and the most it held */
	uint64_t changes;        /* what autosave_on_changes counts: retained, queued and completed messages */
} mq_stats;

/* What may be done with a topic; bits. */
enum mq_access { MQ_READ = 1, MQ_WRITE = 2 };
/* How a session's access is decided: everything is allowed; mq_on_access, remembered by topic; mq_on_access for every message. */
enum mq_access_mode { MQ_ACCESS_OPEN, MQ_ACCESS_CACHED, MQ_ACCESS_ASK };

/* What CONNECT and the listener, in the client role CONNACK, settled about a connection. */
typedef struct mq_terms {
	uint8_t version;        /* 3, 4 or 5 */
	uint8_t max_qos;        /* listener's max_qos */
	uint8_t bridge;         /* CONNECT with bit 7 of the version set */
	uint8_t no_retain;      /* client role: the server keeps no retained messages: RETAIN is not sent */
	uint16_t keepalive;     /* seconds, 0 = no timeout; the timeout is one and a half times that */
	uint16_t alias_max_in;  /* listener's max_topic_alias */
	uint16_t alias_max_out; /* min(CONNECT's Topic Alias Maximum, max_topic_alias_broker) */
	/* Client role: the server's Topic Alias Maximum, for aliases that the publisher chooses (then alias_max_out is 0). */
	uint16_t alias_chosen;
	uint32_t receive_max;    /* outgoing window in messages, 0 = unlimited */
	uint32_t max_packet_out; /* CONNECT's Maximum Packet Size, 0 = none */
} mq_terms;

/* ---- the core -------------------------------------------------------------------------------------------------------- */

mq_core *mq_core_new(void *user); /* user comes back as the first argument of each callback; NULL: no memory */
void mq_core_free(mq_core *core); /* with all its connections and sessions; descriptors are not closed */
mq_options *mq_core_options(mq_core *core);
mq_stats *mq_core_stats(mq_core *core);
void mq_core_clock(mq_core *core, double monotonic, double wall);     /* seconds; the fraction is left away */
void mq_core_trace(mq_core *core, int on);                            /* mq_on_trace for every packet (log_type debug) */
void mq_core_flush(mq_core *core);                                    /* write the output of every connection that has some */
void mq_core_reap(mq_core *core);                                     /* free what was closed in this turn */
size_t mq_core_timeouts(mq_core *core, uint32_t *owners, size_t max); /* connections whose keepalive ran out; call until < max */
void mq_core_access_changed(mq_core *core); /* rules about topics changed: all remembered decisions are void */
void mq_core_trim(
	mq_core *core); /* give freed memory back to the system, if a lot was freed since the last time; NULL: in any case */

/* ---- connections ----------------------------------------------------------------------------------------------------- */

/* fd -1: Python moves the bytes (mq_conn_feed, mq_conn_output). The timeout before CONNECT is 30 s. */
mq_conn *mq_conn_new(mq_core *core, int fd, uint32_t owner);
int mq_conn_readable(mq_conn *conn); /* one receive, and every whole packet in it */
int mq_conn_feed(mq_conn *conn, const uint8_t *data, size_t n);
int mq_conn_writable(mq_conn *conn);                        /* MQ_OK: all is out; MQ_BLOCKED; MQ_ERRNO */
size_t mq_conn_output(mq_conn *conn, const uint8_t **data); /* first contiguous piece of output; 0: none */
void mq_conn_consumed(mq_conn *conn, size_t n);
void mq_conn_full(
	mq_conn *conn, int full); /* fd -1: the peer takes no more output now; nothing is said of new output until it does */
int mq_conn_send(mq_conn *conn, const uint8_t *packet, size_t n); /* a whole control packet, written with the turn's flush */
void mq_conn_fault(mq_conn *conn, int out[3]);                    /* the numbers a, b, c of the last status */
void mq_conn_begin(
	mq_conn *conn, uint8_t version); /* CONNECT read, extended authentication going on: only AUTH and DISCONNECT pass */
void mq_conn_accept(mq_conn *conn, mq_session *session, const mq_terms *terms); /* session active on this connection */
void mq_conn_resume(mq_conn *conn); /* after CONNACK was sent: in-flight messages again, then the queue */
int mq_conn_mount(mq_conn *conn, const uint8_t *prefix, size_t n); /* listener's mount_point; may change at reload */
void mq_conn_alias_max(mq_conn *conn, uint16_t in);                /* listener's max_topic_alias changed by a reload */
void mq_conn_close(mq_conn *conn); /* the session, if any, is offline from here on; the descriptor stays open */
void mq_conn_final(mq_conn *conn); /* write what can be written without waiting; before mq_conn_close */

/* ---- sessions -------------------------------------------------------------------------------------------------------- */

mq_session *mq_session_new(mq_core *core, const uint8_t *client_id, size_t n);
void mq_session_durable(mq_session *session, int on); /* session expiry is not 0: queue while offline */
void mq_session_free(mq_session *session);            /* with subscriptions and messages; its connection, if any, is detached */

void mq_session_access(mq_session *session, int mode); /* enum mq_access_mode; also forgets what was remembered */
/* Who publishes, to be kept with stored messages (check_retain_source); port: the listener's. MQ_OK, MQ_MALFORMED, MQ_NOMEM. */
int mq_session_source(mq_session *session, const uint8_t *username, size_t n, int has_username, uint16_t port);

/* options: the byte of MQTT 5.0 section 3.8.3.1; id: subscription identifier, 0 = none. filter with mount point.
 * MQ_OK new, MQ_EXISTS replaced, MQ_BAD_FILTER, MQ_BAD_SHARE, MQ_NOMEM. */
int mq_subscribe(mq_session *session, const uint8_t *filter, size_t n, uint8_t options, uint32_t id);
int mq_unsubscribe(mq_session *session, const uint8_t *filter, size_t n); /* MQ_OK, MQ_NONE, MQ_BAD_FILTER, MQ_BAD_SHARE */
int mq_retained_send(mq_session *session, const uint8_t *filter, size_t n, uint8_t qos, uint32_t id);

/* ---- messages -------------------------------------------------------------------------------------------------------- */

/* A message of the broker's own ($SYS, log topics, wills); origin (may be NULL) counts for no-local.
 * properties: encoded, as forwarded, without expiry; expiry: seconds, 0 = never. MQ_OK, MQ_NONE, MQ_BAD_FILTER, MQ_NOMEM. */
int mq_publish(mq_core *core, mq_session *origin, const uint8_t *topic, size_t topic_n, const uint8_t *payload, size_t payload_n,
	uint8_t qos, int retain, const uint8_t *properties, size_t properties_n, uint32_t expiry);
/* The same to one connected client, without a subscription ($CONTROL responses); QoS 0. */
int mq_publish_to(mq_conn *conn, const uint8_t *topic, size_t topic_n, const uint8_t *payload, size_t payload_n);
size_t mq_retained_expire(mq_core *core, size_t budget); /* one step of a sweep over the retained tree; 0: sweep complete */
char *mq_subscriptions_text(mq_core *core, size_t *n);   /* SIGUSR2's picture of the trees; free with mq_text_free */
void mq_text_free(char *text);

/* ---- bytes (also used by the packet modules in Python, so that there is one codec) ------------------------------------ */

int mq_utf8_valid(const uint8_t *s, size_t n);   /* 1 or 0; MQTT 5.0 section 1.5.4, control and non-characters refused */
int mq_topic_valid(const uint8_t *s, size_t n);  /* topic name to publish: not empty, no wildcard, at most 200 '/' */
int mq_filter_valid(const uint8_t *s, size_t n); /* topic filter: not empty, wildcards fill their level, at most 200 '/' */
int mq_topic_matches(const uint8_t *filter, size_t filter_n, const uint8_t *topic, size_t topic_n); /* 1 or 0, one to one */
/* Walk the properties [data, data + n) (without the length in front). out gets at most max entries that point into data.
 * Checks value, permission in place, duplicates. MQ_OK, MQ_MALFORMED, MQ_PROTOCOL, MQ_DUPLICATE_PROPERTY, MQ_BAD_UTF8;
 * *bad: the offending identifier (also where it is unknown). */
int mq_properties_walk(int place, const uint8_t *data, size_t n, mq_property *out, size_t max, size_t *count, uint32_t *bad);

#endif
