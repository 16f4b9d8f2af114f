/* client.h: many MQTT clients on one thread, as the scenarios of load.c need them.
 *
 * What keeps them cheap: a publisher's PUBLISH is built once and copied, with packet identifier and time stamp written over;
 * one receive buffer serves all connections, which keep the tail of a packet that is not all there yet; output is gathered
 * over a turn and written once; the clock is read once for a batch.
 *
 * Whatever goes wrong ends the process: a figure from a run with trouble is worth nothing.
 */
#ifndef CLIENT_H
#define CLIENT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECOND 1000000000ull
#define PENDING_MAX (256 * 1024) /* bytes a publisher may have unsent before it gets no more to send */
#define STALL (10 * SECOND)

/* Options of the command line, see usage in load.c. */
struct options {
	const char *host, *prefix, *id, *user, *pass, *tls;
	long port, pid, pubs, subs, window, qos, subqos, size, levels, msgs, noise, conns, burst, topics, keepalive, v5, lasting;
	double secs, warm, rate;
};
extern struct options opt;

/* A growable piece of memory with a part that is taken off the front. */
struct bytes {
	uint8_t *data;
	size_t off, len, size;
};

struct conn {
	int fd;
	uint32_t index;
	uint16_t mid; /* last packet identifier used */
	bool waiting; /* for EPOLLOUT */
	bool stuck;   /* output waits for input (stream.h) */
	bool dirty;   /* in the list of connections with output of this turn */
	struct bytes out;
	struct bytes rest;       /* of a packet that is not all there yet */
	struct bytes frame;      /* a publisher's PUBLISH, to be copied */
	size_t mid_at, stamp_at; /* where in the frame packet identifier and time stamp are */
	long sent, acknowledged; /* a publisher's messages */
};
extern struct conn *conns;

/* Of all connections together, since the start. */
struct counters {
	long connected, subscribed, sent, acknowledged, delivered;
};
extern struct counters count;

/* While measuring, each delivery's latency is told to latency_add, which load.c has. */
extern bool measuring;
void latency_add(uint64_t us);

__attribute__((noreturn, format(printf, 2, 3))) void fail(int code, const char *format, ...);
uint64_t now(void); /* nanoseconds of the monotonic clock */

void open_conns(long n);        /* room for n; none is opened yet */
void open_conn(uint32_t index); /* connects and sends CONNECT, with the next turn */
void send_subscribe(struct conn *c, const char *filter, long qos);
void set_frame(struct conn *c, const char *topic, long qos, bool retain); /* what publish sends from here on */
void publish(struct conn *c, long n, uint64_t stamp);

/* Write what is there to be written, then wait up to `wait` nanoseconds for something to read. */
void turn(uint64_t wait);
void turn_until(const long *counter, long goal, const char *what); /* fails when nothing moves for STALL */

#endif
