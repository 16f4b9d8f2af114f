/* load.c: a load generator for MQTT brokers, one thread, cheaper per message than what it drives.
 *
 * Theory of operation. Closed loop: no more than `window` messages for each publisher are under way, and a message is under
 * way until every subscriber that should get it has it. So a broker is never asked for more than it delivers, never has a
 * reason to drop, and its rate is what comes out. With --rate the loop is open (messages are sent when they are due, whatever
 * comes back), which is for latency and for the cost of a message on a broker that is not busy.
 *
 * What keeps it cheap: a publisher's PUBLISH is built once and copied, with packet identifier and time stamp written over; one
 * receive buffer serves all connections, which keep the tail of a packet that is not all there yet; output is gathered over a
 * turn and written once; the clock is read once for a batch.
 *
 * Prints one JSON object. Exit codes: 0; 2 usage, or the broker refused or closed a connection; 3 nothing moved for ten
 * seconds; 4 messages were lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define PENDING_MAX (256 * 1024) /* bytes a publisher may have unsent before it gets no more to send */
#define STALL (10 * SECOND)
#define PER_ADDRESS 20000 /* connections from one source address: the kernel has some 28,000 ports for each */

static const char usage[] =
	"usage: load SCENARIO [options]\n"
	"scenarios:\n"
	"  pairs     publisher i to subscriber i, on a topic of their own\n"
	"  fanout    one topic, every subscriber gets every message\n"
	"  fanin     a topic for each publisher, every subscriber has a wildcard over them all\n"
	"  connect   --conns connections are opened, at most --burst at a time\n"
	"  idle      the same, then held for --secs\n"
	"  retained  --topics retained messages are stored, then read by a new subscription\n"
	"options, with their defaults:\n"
	"  --host 127.0.0.1  --port 1883   --pid 0 (the broker's, to measure its processor time and memory)\n"
	"  --pubs 1   --subs 1   --window 512 (messages under way for each publisher)\n"
	"  --qos 0    --subqos (as --qos)     --size 64 (payload, bytes)   --levels 3 (in a topic name)   --prefix t\n"
	"  --secs 5   --warm 1 (seconds before measuring)   --msgs 0 (deliveries to measure instead of --secs)\n"
	"  --rate 0 (messages a second in all; 0 is the closed loop)\n"
	"  --noise 0 (further subscriptions, which match nothing)\n"
	"  --conns 1000   --burst 200   --topics 10000\n"
	"  --v5   --keepalive 60   --id load   --user NAME   --pass PASSWORD\n";

static struct {
	const char *host, *prefix, *id, *user, *pass;
	long port, pid, pubs, subs, window, qos, subqos, size, levels, msgs, noise, conns, burst, topics, keepalive, v5;
	double secs, warm, rate;
} opt = {
	.host = "127.0.0.1",
	.prefix = "t",
	.id = "load",
	.port = 1883,
	.pubs = 1,
	.subs = 1,
	.window = 512,
	.subqos = -1,
	.size = 64,
	.levels = 3,
	.conns = 1000,
	.burst = 200,
	.topics = 10000,
	.keepalive = 60,
	.secs = 5,
	.warm = 1,
};

enum kind { TEXT, WHOLE, REAL, SWITCH };
struct option {
	const char *name;
	enum kind kind;
	void *value;
};
static const struct option option_table[] = {
	{"--host", TEXT, &opt.host},
	{"--port", WHOLE, &opt.port},
	{"--pid", WHOLE, &opt.pid},
	{"--pubs", WHOLE, &opt.pubs},
	{"--subs", WHOLE, &opt.subs},
	{"--window", WHOLE, &opt.window},
	{"--qos", WHOLE, &opt.qos},
	{"--subqos", WHOLE, &opt.subqos},
	{"--size", WHOLE, &opt.size},
	{"--levels", WHOLE, &opt.levels},
	{"--prefix", TEXT, &opt.prefix},
	{"--secs", REAL, &opt.secs},
	{"--warm", REAL, &opt.warm},
	{"--msgs", WHOLE, &opt.msgs},
	{"--rate", REAL, &opt.rate},
	{"--noise", WHOLE, &opt.noise},
	{"--conns", WHOLE, &opt.conns},
	{"--burst", WHOLE, &opt.burst},
	{"--topics", WHOLE, &opt.topics},
	{"--v5", SWITCH, &opt.v5},
	{"--keepalive", WHOLE, &opt.keepalive},
	{"--id", TEXT, &opt.id},
	{"--user", TEXT, &opt.user},
	{"--pass", TEXT, &opt.pass},
};

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
	bool dirty;   /* in the list of connections with output of this turn */
	struct bytes out;
	struct bytes rest;       /* of a packet that is not all there yet */
	struct bytes frame;      /* a publisher's PUBLISH, to be copied */
	size_t mid_at, stamp_at; /* where in the frame packet identifier and time stamp are */
	long sent, acknowledged; /* a publisher's messages */
};

static struct conn *conns, **dirty;
static size_t n_dirty;
static int poll_fd;
static uint8_t *scratch;
static size_t scratch_size;

static struct { long connected, subscribed, sent, acknowledged, delivered; } count;
static bool measuring;

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int code, const char *format, ...) {
	va_list args;
	va_start(args, format);
	fputs("load: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(code);
}

static void *allocated(void *p) {
	if (!p) fail(2, "out of memory");
	return p;
}

static uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* ---- what is measured ------------------------------------------------------------------------------------------------- */

/* Latencies in microseconds, 64 steps to each power of two: within 1.6 % of the truth. */
static uint64_t histogram[64 * 64];

static void latency_add(uint64_t us) {
	int scale = us < 64 ? 0 : 58 - __builtin_clzll(us);
	histogram[scale * 64 + (int)(us >> scale)]++;
}

static double latency_at(double share) {
	uint64_t total = 0, passed = 0;
	for (int i = 0; i < 64 * 64; i++) total += histogram[i];
	for (int i = 0; i < 64 * 64 && total; i++)
		if ((double)(passed += histogram[i]) >= share * (double)total) return (double)((uint64_t)(i % 64) << (i / 64));
	return 0;
}

/* Processor time in seconds: of a process, or of this one for pid 0. */
static double cpu_of(long pid) {
	clockid_t clock;
	struct timespec t = {0};
	if (clock_getcpuclockid((pid_t)pid, &clock) || clock_gettime(clock, &t)) return 0;
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long rss_kb(void) {
	char path[64], line[256];
	long kb = 0;
	snprintf(path, sizeof path, "/proc/%ld/status", opt.pid);
	FILE *file = opt.pid ? fopen(path, "r") : NULL;
	if (!file) return 0;
	while (fgets(line, sizeof line, file) && sscanf(line, "VmRSS: %ld", &kb) != 1) {}
	fclose(file);
	return kb;
}

static double broker_cpu(void) { return opt.pid ? cpu_of(opt.pid) : 0; }

/* ---- packets out ------------------------------------------------------------------------------------------------------ */

static uint8_t *grow(struct bytes *b, size_t n) {
	if (b->len + n > b->size) {
		if (b->off) {
			memmove(b->data, b->data + b->off, b->len - b->off);
			b->len -= b->off;
			b->off = 0;
		}
		while (b->len + n > b->size) b->size = b->size ? b->size * 2 : 256;
		b->data = allocated(realloc(b->data, b->size));
	}
	b->len += n;
	return b->data + b->len - n;
}

static void drop(struct bytes *b) {
	free(b->data);
	*b = (struct bytes){0};
}

static void put8(struct bytes *b, unsigned v) { *grow(b, 1) = (uint8_t)v; }
static void put16(struct bytes *b, unsigned v) { put8(b, v >> 8 & 255), put8(b, v & 255); }
static void put_text(struct bytes *b, const char *s) {
	size_t n = strlen(s);
	put16(b, (unsigned)n);
	memcpy(grow(b, n), s, n);
}

/* Fixed header, and the body that was built beside it. */
static void put_packet(struct bytes *to, unsigned first, const struct bytes *body) {
	put8(to, first);
	size_t n = body->len;
	do put8(to, (n & 127) | (n > 127 ? 128 : 0));
	while (n >>= 7);
	if (body->len) memcpy(grow(to, body->len), body->data, body->len);
}

static unsigned next_mid(struct conn *c) {
	if (!++c->mid) c->mid = 1;
	return c->mid;
}

static void mark_dirty(struct conn *c) {
	if (!c->dirty) dirty[n_dirty++] = c;
	c->dirty = true;
}

static void send_packet(struct conn *c, unsigned first, struct bytes *body) {
	put_packet(&c->out, first, body);
	drop(body);
	mark_dirty(c);
}

static void send_connect(struct conn *c) {
	struct bytes b = {0};
	char id[96];
	snprintf(id, sizeof id, "%s-%d-%u", opt.id, getpid(), c->index);
	put_text(&b, "MQTT");
	put8(&b, opt.v5 ? 5 : 4);
	put8(&b, 0x02 | (opt.user ? 0x80 : 0) | (opt.pass ? 0x40 : 0));
	put16(&b, (unsigned)opt.keepalive);
	if (opt.v5) put8(&b, 0);
	put_text(&b, id);
	if (opt.user) put_text(&b, opt.user);
	if (opt.pass) put_text(&b, opt.pass);
	send_packet(c, 0x10, &b);
}

static void send_subscribe(struct conn *c, const char *filter, long qos) {
	struct bytes b = {0};
	put16(&b, next_mid(c));
	if (opt.v5) put8(&b, 0);
	put_text(&b, filter);
	put8(&b, (unsigned)qos);
	send_packet(c, 0x82, &b);
}

static void send_ack(struct conn *c, unsigned first, const uint8_t *mid) {
	memcpy(grow(&c->out, 4), (uint8_t[]){(uint8_t)first, 2, mid[0], mid[1]}, 4);
	mark_dirty(c);
}

/* The PUBLISH that publish() copies from here on. */
static void set_frame(struct conn *c, const char *topic, long qos, bool retain) {
	struct bytes b = {0};
	put_text(&b, topic);
	size_t mid_at = b.len;
	if (qos) put16(&b, 0);
	if (opt.v5) put8(&b, 0);
	size_t stamp_at = b.len;
	memset(grow(&b, (size_t)opt.size), 'x', (size_t)opt.size);
	c->frame.len = 0;
	put_packet(&c->frame, (unsigned)(0x30 | qos << 1 | retain), &b);
	size_t header = c->frame.len - b.len;
	c->mid_at = qos ? header + mid_at : 0;
	c->stamp_at = opt.size >= 8 ? header + stamp_at : 0;
	drop(&b);
}

static void publish(struct conn *c, long n, uint64_t stamp) {
	c->sent += n;
	count.sent += n;
	while (n-- > 0) {
		uint8_t *p = grow(&c->out, c->frame.len);
		memcpy(p, c->frame.data, c->frame.len);
		if (c->mid_at) {
			unsigned mid = next_mid(c);
			p[c->mid_at] = (uint8_t)(mid >> 8);
			p[c->mid_at + 1] = (uint8_t)mid;
		}
		if (c->stamp_at) memcpy(p + c->stamp_at, &stamp, 8);
	}
	mark_dirty(c);
}

/* ---- connections ------------------------------------------------------------------------------------------------------ */

static void watch(struct conn *c, int operation, bool writable) {
	struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.u32 = c->index};
	if (epoll_ctl(poll_fd, operation, c->fd, &event)) fail(2, "epoll_ctl: %s", strerror(errno));
	c->waiting = writable;
}

static void open_conn(uint32_t index) {
	struct conn *c = &conns[index];
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
	*c = (struct conn){.index = index, .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
	if (c->fd < 0) fail(2, "socket: %s", strerror(errno));
	if (inet_pton(AF_INET, opt.host, &peer.sin_addr) != 1) fail(2, "%s: not an IPv4 address", opt.host);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (index >= PER_ADDRESS) {
		struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + index / PER_ADDRESS)};
		if (bind(c->fd, (void *)&self, sizeof self)) fail(2, "bind: %s", strerror(errno));
	}
	if (connect(c->fd, (void *)&peer, sizeof peer) && errno != EINPROGRESS) fail(2, "connect: %s", strerror(errno));
	send_connect(c);
	watch(c, EPOLL_CTL_ADD, true);
}

static void open_conns(long n) {
	conns = allocated(calloc((size_t)n, sizeof *conns));
	dirty = allocated(calloc((size_t)n, sizeof *dirty));
	scratch_size = (size_t)opt.size * 2 + PENDING_MAX;
	scratch = allocated(malloc(scratch_size));
}

static void write_out(struct conn *c) {
	struct bytes *b = &c->out;
	while (b->off < b->len) {
		ssize_t n = send(c->fd, b->data + b->off, b->len - b->off, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN) fail(2, "send: %s", strerror(errno));
		if (n < 0) {
			if (!c->waiting) watch(c, EPOLL_CTL_MOD, true);
			return;
		}
		b->off += (size_t)n;
	}
	b->off = b->len = 0;
	if (!c->frame.data) drop(b); /* only publishers use it often enough to keep it */
	if (c->waiting) watch(c, EPOLL_CTL_MOD, false);
}

static void write_dirty(void) {
	for (size_t i = 0; i < n_dirty; i++) {
		dirty[i]->dirty = false;
		if (!dirty[i]->waiting) write_out(dirty[i]);
	}
	n_dirty = 0;
}

/* ---- packets in ------------------------------------------------------------------------------------------------------- */

static void got_publish(struct conn *c, unsigned first, const uint8_t *body, uint64_t at) {
	unsigned qos = first >> 1 & 3;
	const uint8_t *mid = body + 2 + (body[0] << 8 | body[1]), *payload = mid + (qos ? 2 : 0);
	if (opt.v5) payload += 1 + *payload; /* nothing sent here has as many properties as take a second byte of length */
	if (measuring && opt.size >= 8) {
		uint64_t stamp;
		memcpy(&stamp, payload, 8);
		latency_add(at > stamp ? (at - stamp) / 1000 : 0);
	}
	count.delivered++;
	if (qos) send_ack(c, qos == 1 ? 0x40 : 0x50, mid);
}

static void got_packet(struct conn *c, unsigned first, const uint8_t *body, size_t n, uint64_t at) {
	switch (first >> 4) {
	case 2:
		if (body[1]) fail(2, "the broker refused a connection with code %d", body[1]);
		count.connected++;
		break;
	case 3: got_publish(c, first, body, at); break;
	case 4:
	case 7:
		c->acknowledged++;
		count.acknowledged++;
		break;
	case 5: send_ack(c, 0x62, body); break;
	case 6: send_ack(c, 0x70, body); break;
	case 9: count.subscribed++; break;
	case 14: fail(2, "the broker sent DISCONNECT with code %d", n ? body[0] : 0);
	default: break;
	}
}

/* All whole packets of p[0..n); returns the bytes they took. */
static size_t got_bytes(struct conn *c, const uint8_t *p, size_t n) {
	size_t at = 0;
	uint64_t time = measuring ? now() : 0;
	for (;;) {
		size_t length = 0, head = 1;
		do {
			if (at + head >= n || head > 4) return at;
			length |= (size_t)(p[at + head] & 127) << 7 * (head - 1);
		} while (p[at + head++] & 128);
		if (n - at < head + length) return at;
		got_packet(c, p[at], p + at + head, length, time);
		at += head + length;
	}
}

static void read_in(struct conn *c) {
	for (;;) {
		size_t kept = c->rest.len, room = scratch_size - kept;
		if (kept) memcpy(scratch, c->rest.data, kept);
		ssize_t n = recv(c->fd, scratch + kept, room, 0);
		if (n == 0) fail(2, "the broker closed a connection");
		if (n < 0 && errno != EAGAIN) fail(2, "recv: %s", strerror(errno));
		if (n < 0) return;
		size_t all = kept + (size_t)n, used = got_bytes(c, scratch, all);
		c->rest.len = 0;
		if (used < all) memcpy(grow(&c->rest, all - used), scratch + used, all - used);
		else if (kept) drop(&c->rest);
		if ((size_t)n < room) return;
	}
}

/* ---- the loop --------------------------------------------------------------------------------------------------------- */

/* One turn: write what is there to be written, then wait up to `wait` nanoseconds for something to read. */
static void turn(uint64_t wait) {
	static struct epoll_event events[1024];
	struct timespec timeout = {.tv_sec = (time_t)(wait / SECOND), .tv_nsec = (long)(wait % SECOND)};
	write_dirty();
	int n = epoll_pwait2(poll_fd, events, 1024, &timeout, NULL);
	for (int i = 0; i < n; i++) {
		struct conn *c = &conns[events[i].data.u32];
		if (events[i].events & EPOLLOUT) write_out(c);
		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_in(c);
	}
}

static void turn_until(const long *counter, long goal, const char *what) {
	uint64_t moved = now();
	for (long seen = -1; *counter < goal; turn(SECOND / 20)) {
		if (*counter != seen) moved = now();
		else if (now() - moved > STALL) fail(3, "%s: %ld of %ld, then nothing for ten seconds", what, *counter, goal);
		seen = *counter;
	}
}

/* ---- scenarios: messages ---------------------------------------------------------------------------------------------- */

enum shape { PAIRS, FANOUT, FANIN };

static void topic_name(char *to, size_t size, long i) {
	size_t n = (size_t)snprintf(to, size, "%s", opt.prefix);
	for (long level = 1; level < opt.levels - 1; level++) n += (size_t)snprintf(to + n, size - n, "/l%ld", level);
	snprintf(to + n, size - n, "/%ld", i);
}

static void noise_filter(char *to, size_t size, long i) {
	switch (i % 3) {
	case 0: snprintf(to, size, "noise/%ld/%ld/%ld", i % 100, i % 1000, i); break;
	case 1: snprintf(to, size, "noise/+/%ld/%ld", i % 1000, i); break;
	default: snprintf(to, size, "noise/%ld/%ld/#", i % 100, i); break;
	}
}

/* Subscribers come first in conns, then publishers. */
static void set_up(enum shape shape) {
	char topic[512];
	open_conns(opt.pubs + opt.subs);
	for (long i = 0; i < opt.pubs + opt.subs; i++) open_conn((uint32_t)i);
	turn_until(&count.connected, opt.pubs + opt.subs, "connected");
	for (long i = 0; i < opt.subs; i++) {
		if (shape == FANIN) snprintf(topic, sizeof topic, "%s/#", opt.prefix);
		else topic_name(topic, sizeof topic, shape == FANOUT ? 0 : i);
		send_subscribe(&conns[i], topic, opt.subqos);
	}
	turn_until(&count.subscribed, opt.subs, "subscribed");
	for (long i = 0; i < opt.noise; i++) {
		noise_filter(topic, sizeof topic, i);
		send_subscribe(&conns[i % opt.subs], topic, opt.subqos);
		if (i % 4096 == 4095) turn_until(&count.subscribed, opt.subs + i - 4096, "subscribed to noise");
	}
	turn_until(&count.subscribed, opt.subs + opt.noise, "subscribed to noise");
	for (long i = 0; i < opt.pubs; i++) {
		topic_name(topic, sizeof topic, shape == FANOUT ? 0 : i);
		set_frame(&conns[opt.subs + i], topic, opt.qos, false);
	}
}

/* Closed loop: what was delivered to all makes room for as many new messages, spread over the publishers. */
static void refill(long fan, uint64_t stamp) {
	static long next;
	long room = opt.window * opt.pubs - (count.sent - count.delivered / fan);
	long each = room / opt.pubs > 0 ? room / opt.pubs : 1;
	for (long i = 0; i < opt.pubs && room > 0; i++, next = (next + 1) % opt.pubs) {
		struct conn *c = &conns[opt.subs + next];
		long n = each < room ? each : room, unacknowledged = c->sent - c->acknowledged;
		if (opt.qos && n > opt.window - unacknowledged) n = opt.window - unacknowledged;
		if (n <= 0 || c->out.len - c->out.off > PENDING_MAX) continue;
		publish(c, n, stamp);
		room -= n;
	}
}

/* Open loop: publishes what is due since the last call; returns nanoseconds until the next message is. */
static uint64_t send_due(uint64_t start, uint64_t at) {
	static long next;
	double due = (double)(at - start) * opt.rate / 1e9;
	for (; (double)count.sent < due; next = (next + 1) % opt.pubs) publish(&conns[opt.subs + next], 1, at);
	return (uint64_t)((double)count.sent * 1e9 / opt.rate) + 1 + start - at;
}

struct sample {
	uint64_t time;
	long sent, delivered;
	double broker, self;
};

static struct sample take_sample(uint64_t at) {
	return (struct sample){at, count.sent, count.delivered, broker_cpu(), cpu_of(0)};
}

/* Runs through warming up and measuring; returns the two ends of what was measured. */
static void drive(long fan, struct sample *first, struct sample *last) {
	uint64_t start = now(), moved = start;
	for (long seen = -1;;) {
		uint64_t at = now();
		if (!measuring && at - start >= (uint64_t)(opt.warm * 1e9)) {
			*first = take_sample(at);
			measuring = true;
		}
		if (measuring &&
			(opt.msgs ? count.delivered - first->delivered >= opt.msgs : at - first->time >= (uint64_t)(opt.secs * 1e9)))
			break;
		if (opt.rate > 0) turn(send_due(start, at));
		else refill(fan, at), turn(SECOND / 50);
		if (count.delivered != seen) moved = at;
		else if (at - moved > STALL)
			fail(3, "stalled: %ld sent, %ld of %ld delivered", count.sent, count.delivered, count.sent * fan);
		seen = count.delivered;
	}
	*last = take_sample(now());
	measuring = false;
}

/* Messages that have not come two seconds after the last one did. */
static long lost(long fan) {
	uint64_t moved = now();
	while (count.delivered < count.sent * fan && now() - moved < 2 * SECOND) {
		long seen = count.delivered;
		turn(SECOND / 50);
		if (count.delivered != seen) moved = now();
	}
	return count.sent * fan - count.delivered;
}

static int traffic(const char *scenario, enum shape shape) {
	if (shape == PAIRS) opt.subs = opt.pubs;
	long fan = shape == PAIRS ? 1 : opt.subs;
	struct sample a = {0}, b = {0};
	set_up(shape);
	drive(fan, &a, &b);
	long missing = lost(fan);
	double secs = (double)(b.time - a.time) / 1e9, delivered = (double)(b.delivered - a.delivered);
	double cpu = b.broker - a.broker;
	printf("{\"scenario\":\"%s\",\"qos\":%ld,\"pubs\":%ld,\"subs\":%ld,\"size\":%ld,\"secs\":%.2f,", scenario, opt.qos, opt.pubs,
		opt.subs, opt.size, secs);
	printf("\"published_per_s\":%.0f,\"delivered_per_s\":%.0f,", (double)(b.sent - a.sent) / secs, delivered / secs);
	printf("\"p50_us\":%.0f,\"p99_us\":%.0f,\"p999_us\":%.0f,", latency_at(.5), latency_at(.99), latency_at(.999));
	printf("\"broker_cpu\":%.3f,\"broker_us_per_delivery\":%.3f,", cpu / secs, delivered > 0 ? cpu * 1e6 / delivered : 0);
	printf("\"load_cpu\":%.3f,\"broker_rss_kb\":%ld,\"lost\":%ld}\n", (b.self - a.self) / secs, rss_kb(), missing);
	return missing ? 4 : 0;
}

static int pairs(const char *name) { return traffic(name, PAIRS); }
static int fanout(const char *name) { return traffic(name, FANOUT); }
static int fanin(const char *name) { return traffic(name, FANIN); }

/* ---- scenarios: connections and retained messages --------------------------------------------------------------------- */

static int connections(const char *scenario, double hold) {
	long before = rss_kb(), opened = 0;
	double cpu = broker_cpu();
	open_conns(opt.conns);
	uint64_t start = now();
	while (opened < opt.conns) {
		for (; opened < opt.conns && opened - count.connected < opt.burst; opened++) open_conn((uint32_t)opened);
		turn_until(&count.connected, opened - opt.burst + 1, "connected");
	}
	turn_until(&count.connected, opt.conns, "connected");
	double secs = (double)(now() - start) / 1e9;
	cpu = broker_cpu() - cpu;
	for (uint64_t end = now() + (uint64_t)(hold * 1e9); now() < end;) turn(SECOND / 10);
	long after = rss_kb();
	printf("{\"scenario\":\"%s\",\"conns\":%ld,\"connects_per_s\":%.0f,\"broker_cpu_us_per_connect\":%.1f,", scenario, opt.conns,
		(double)opt.conns / secs, cpu * 1e6 / (double)opt.conns);
	printf("\"broker_rss_kb_before\":%ld,\"broker_rss_kb_after\":%ld,\"bytes_per_conn\":%.0f}\n", before, after,
		(double)(after - before) * 1024 / (double)opt.conns);
	return 0;
}

static int connect_all(const char *name) { return connections(name, 0); }
static int idle(const char *name) { return connections(name, opt.secs); }

/* Stored with QoS 1, so that the time is known when the broker has them; at most 4096 under way. */
static int retained(const char *scenario) {
	char topic[512];
	open_conns(2);
	struct conn *publisher = &conns[0], *reader = &conns[1];
	open_conn(0);
	open_conn(1);
	turn_until(&count.connected, 2, "connected");
	uint64_t start = now();
	for (long i = 0; i < opt.topics; i++) {
		snprintf(topic, sizeof topic, "%s/%ld/%ld", opt.prefix, i % 100, i);
		set_frame(publisher, topic, 1, true);
		publish(publisher, 1, start);
		if (i % 256 != 255) continue;
		turn(0);
		turn_until(&count.acknowledged, i - 4096, "stored");
	}
	turn_until(&count.acknowledged, opt.topics, "stored");
	double stored = (double)(now() - start) / 1e9;
	start = now();
	snprintf(topic, sizeof topic, "%s/#", opt.prefix);
	send_subscribe(reader, topic, 0);
	turn_until(&count.delivered, opt.topics, "read");
	double read = (double)(now() - start) / 1e9;
	printf("{\"scenario\":\"%s\",\"topics\":%ld,\"stored_per_s\":%.0f,\"read_per_s\":%.0f,\"broker_rss_kb\":%ld}\n", scenario,
		opt.topics, (double)opt.topics / stored, (double)opt.topics / read, rss_kb());
	return 0;
}

struct scenario {
	const char *name;
	int (*run)(const char *);
};
static const struct scenario scenarios[] = {
	{"pairs", pairs},
	{"fanout", fanout},
	{"fanin", fanin},
	{"connect", connect_all},
	{"idle", idle},
	{"retained", retained},
};

/* ---- command line ----------------------------------------------------------------------------------------------------- */

static void set_option(const char *name, const char *value) {
	for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++) {
		void *to = option_table[i].value;
		if (strcmp(name, option_table[i].name)) continue;
		if (option_table[i].kind != SWITCH && !value) fail(2, "%s: a value is missing", name);
		switch (option_table[i].kind) {
		case TEXT: *(const char **)to = value; break;
		case WHOLE: *(long *)to = atol(value); break;
		case REAL: *(double *)to = atof(value); break;
		case SWITCH: *(long *)to = 1; break;
		}
		return;
	}
	fail(2, "%s: no such option\n%s", name, usage);
}

int main(int argc, char **argv) {
	if (argc < 2 || !strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		fputs(usage, argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	for (int i = 2; i < argc; i++) {
		bool alone = !strcmp(argv[i], "--v5");
		set_option(argv[i], alone ? NULL : argv[i + 1]);
		i += !alone;
	}
	if (opt.subqos < 0) opt.subqos = opt.qos;
	if (opt.pubs < 1 || opt.subs < 1 || opt.window < 1 || opt.burst < 1 || opt.size < 0)
		fail(2, "a number is too small\n%s", usage);

	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
		if (!strcmp(argv[1], scenarios[i].name)) return scenarios[i].run(argv[1]);
	fail(2, "%s: no such scenario\n%s", argv[1], usage);
}
