/* client.c: packets out, connections, packets in, and the turn of the loop that joins them. See client.h. */
#define _GNU_SOURCE
#include "client.h"
#include "stream.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PER_ADDRESS 20000 /* connections from one source address: the kernel has some 28,000 ports for each */

struct conn *conns;
struct counters count;
bool measuring;

static struct conn **dirty;
static size_t n_dirty;
static int poll_fd = -1;
static uint8_t *scratch;
static size_t scratch_size;

__attribute__((noreturn, format(printf, 2, 3))) void fail(int code, const char *format, ...) {
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

uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

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
	bool lasts = opt.lasting && c->index < opt.subs;
	put8(&b, (lasts ? 0 : 0x02) | (opt.user ? 0x80 : 0) | (opt.pass ? 0x40 : 0));
	put16(&b, (unsigned)opt.keepalive);
	if (opt.v5 && lasts) memcpy(grow(&b, 6), "\5\x11\xFF\xFF\xFF\xFF", 6); /* session expiry interval: never */
	else if (opt.v5) put8(&b, 0);
	put_text(&b, id);
	if (opt.user) put_text(&b, opt.user);
	if (opt.pass) put_text(&b, opt.pass);
	send_packet(c, 0x10, &b);
}

void send_subscribe(struct conn *c, const char *filter, long qos) {
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

void set_frame(struct conn *c, const char *topic, long qos, bool retain) {
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

void publish(struct conn *c, long n, uint64_t stamp) {
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

void open_conn(uint32_t index) {
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
	stream_open(c);
	send_connect(c);
	watch(c, EPOLL_CTL_ADD, true);
}

void open_conns(long n) {
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (poll_fd < 0) fail(2, "epoll_create1: %s", strerror(errno));
	conns = allocated(calloc((size_t)n, sizeof *conns));
	dirty = allocated(calloc((size_t)n, sizeof *dirty));
	scratch_size = (size_t)opt.size * 2 + PENDING_MAX;
	scratch = allocated(malloc(scratch_size));
}

static void write_out(struct conn *c) {
	struct bytes *b = &c->out;
	while (b->off < b->len) {
		ssize_t n = stream_send(c, b->data + b->off, b->len - b->off);
		if (n < 0 && errno != EAGAIN && errno != EINPROGRESS) fail(2, "send: %s", strerror(errno));
		if (n < 0) {
			bool writable = errno == EAGAIN;
			if (c->waiting != writable) watch(c, EPOLL_CTL_MOD, writable);
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
		ssize_t n = stream_recv(c, scratch + kept, room);
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

void turn(uint64_t wait) {
	static struct epoll_event events[1024];
	struct timespec timeout = {.tv_sec = (time_t)(wait / SECOND), .tv_nsec = (long)(wait % SECOND)};
	write_dirty();
	int n = epoll_pwait2(poll_fd, events, 1024, &timeout, NULL);
	for (int i = 0; i < n; i++) {
		struct conn *c = &conns[events[i].data.u32];
		if (events[i].events & EPOLLOUT) write_out(c);
		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_in(c);
		if (stream_stuck(c)) write_out(c);
	}
}

void turn_until(const long *counter, long goal, const char *what) {
	uint64_t moved = now();
	for (long seen = -1; *counter < goal; turn(SECOND / 20)) {
		if (*counter != seen) moved = now();
		else if (now() - moved > STALL) fail(3, "%s: %ld of %ld, then nothing for ten seconds", what, *counter, goal);
		seen = *counter;
	}
}
