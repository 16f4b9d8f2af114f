#include "websocket.h"
#include <string.h>
#include <sys/random.h>
#include "conn.h"
#include "mem.h"
#include "wire.h"

/* A frame (section 5.2): FIN, reserved bits and opcode; mask bit and length; a longer length; the masking key. */
enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0F, CONTROL = 0x08, MASKED = 0x80, LENGTH = 0x7F };
enum { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };
#define LENGTH16 126
#define LENGTH64 127
#define CONTROL_MAX 125
#define HEADER_MAX 14
#define KEY 4
/* Masking keys are fetched from the system so many at a time. */
#define KEYS 16

struct mq_ws {
	mq_conn *conn;
	uint64_t in_left, out_left; /* of the payloads under way */
	uint16_t code;
	uint8_t client;
	uint8_t fragmented;                /* a message is open: its continuation is to come */
	uint8_t opcode;                    /* of the frame that is read */
	uint8_t reply;                     /* opcode of the control frame to write, with answer; 0: none */
	uint8_t refused;                   /* the peer broke the rules */
	uint8_t ending, closed;            /* our Close is to come after the output; our Close was written */
	uint8_t in_key[KEY], out_key[KEY]; /* turned: the first byte is for the next byte of payload */
	uint8_t header_n, control_n, answer_n, keys_left;
	uint8_t header[HEADER_MAX];
	uint8_t control[CONTROL_MAX], answer[CONTROL_MAX];
	uint8_t keys[KEYS * KEY];
};

mq_ws *mq_ws_new(mq_conn *conn, int client) {
	mq_ws *ws = mq_zalloc(conn->core, sizeof *ws);
	if (!ws) return NULL;
	ws->conn = conn;
	ws->client = client != 0;
	return ws;
}

void mq_ws_free(mq_ws *ws) {
	if (ws) mq_release(ws->conn->core, ws);
}

int mq_ws_code(const mq_ws *ws) { return ws->code; }

/* dst = src masked or unmasked, which is the same; they may be one. The key is turned for what follows. */
static void mask(uint8_t *dst, const uint8_t *src, size_t n, uint8_t key[KEY]) {
	uint64_t wide, word;
	uint8_t turned[KEY];
	size_t i = 0;

	memcpy(&wide, key, KEY);
	memcpy((uint8_t *)&wide + KEY, key, KEY);
	for (; i + sizeof word <= n; i += sizeof word) {
		memcpy(&word, src + i, sizeof word);
		word ^= wide;
		memcpy(dst + i, &word, sizeof word);
	}
	for (; i < n; i++) dst[i] = src[i] ^ key[i % KEY];
	for (i = 0; i < KEY; i++) turned[i] = key[(n + i) % KEY];
	memcpy(key, turned, KEY);
}

/* ---- control frames ---- */

/* To be written next. A Close is not replaced by anything. */
static void reply(mq_ws *ws, uint8_t opcode, const uint8_t *data, size_t n) {
	if (ws->reply == CLOSE || ws->closed) return;
	ws->reply = opcode;
	ws->answer_n = (uint8_t)n;
	if (n) memcpy(ws->answer, data, n);
}

static void close_with(mq_ws *ws, uint16_t code) {
	uint8_t data[2];
	mq_put16(data, code);
	reply(ws, CLOSE, data, sizeof data);
}

static void refuse(mq_ws *ws, uint16_t code) {
	ws->code = code;
	ws->refused = 1;
	close_with(ws, code);
}

void mq_ws_close(mq_ws *ws) { ws->ending = 1; }

/* May this code be in a Close frame (section 7.4)? */
static int may_be_sent(uint16_t code) {
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) || (code >= 3000 && code <= 4999);
}

static void take_close(mq_ws *ws) {
	uint16_t code = ws->control_n >= 2 ? mq_get16(ws->control) : MQ_WS_NO_CODE;
	if (ws->control_n == 1 || (ws->control_n && !may_be_sent(code))) refuse(ws, MQ_WS_PROTOCOL);
	else if (ws->control_n > 2 && !mq_utf8_valid(ws->control + 2, ws->control_n - 2u)) refuse(ws, MQ_WS_NOT_UTF8);
	else {
		ws->code = code;
		reply(ws, CLOSE, ws->control, ws->control_n ? 2 : 0);
	}
}

static void take_control(mq_ws *ws) {
	if (ws->opcode == PING) reply(ws, PONG, ws->control, ws->control_n);
	else if (ws->opcode == CLOSE) take_close(ws);
	ws->control_n = 0;
}

/* ---- reading ---- */

/* Bytes of a header that begins with these n (2 at least). */
static size_t header_size(const uint8_t *header) {
	size_t length = header[1] & LENGTH;
	return 2u + (length == LENGTH16 ? 2 : length == LENGTH64 ? 8 : 0) + (header[1] & MASKED ? KEY : 0);
}

static uint64_t payload_size(const uint8_t *header) {
	uint64_t length = header[1] & LENGTH;
	if (length == LENGTH16) return mq_get16(header + 2);
	if (length < LENGTH64) return length;
	length = 0;
	for (int i = 2; i < 10; i++) length = length << 8 | header[i];
	return length;
}

/* The code to refuse a frame with, by its first two bytes; 0: go on. */
static uint16_t judge(const mq_ws *ws, const uint8_t *header) {
	uint8_t opcode = header[0] & OPCODE, fin = header[0] & FIN;
	if (header[0] & RESERVED) return MQ_WS_PROTOCOL;
	if ((header[1] & MASKED) == (ws->client ? MASKED : 0)) return MQ_WS_PROTOCOL;
	if (opcode & CONTROL) return opcode > PONG || !fin || (header[1] & LENGTH) > CONTROL_MAX ? MQ_WS_PROTOCOL : 0;
	if (opcode == TEXT) return MQ_WS_NOT_BINARY;
	if (opcode > BINARY || (opcode == CONTINUATION) != ws->fragmented) return MQ_WS_PROTOCOL;
	return 0;
}

/* A length is written in as few bytes as it can be, and its highest bit is 0. */
static int length_is_proper(const uint8_t *header, uint64_t n) {
	uint8_t form = header[1] & LENGTH;
	return form < LENGTH16 || (form == LENGTH16 ? n >= LENGTH16 : n > UINT16_MAX && !(n >> 63));
}

static void frame_ends(mq_ws *ws) {
	ws->header_n = 0;
	if (ws->opcode & CONTROL) take_control(ws);
}

/* The header is whole. */
static void frame_begins(mq_ws *ws, size_t size) {
	ws->in_left = payload_size(ws->header);
	if (!length_is_proper(ws->header, ws->in_left)) {
		refuse(ws, MQ_WS_PROTOCOL);
		return;
	}
	if (ws->header[1] & MASKED) memcpy(ws->in_key, ws->header + size - KEY, KEY);
	else memset(ws->in_key, 0, KEY);
	ws->opcode = ws->header[0] & OPCODE;
	if (!(ws->opcode & CONTROL)) ws->fragmented = !(ws->header[0] & FIN);
	if (!ws->in_left) frame_ends(ws);
}

static size_t read_header(mq_ws *ws, const uint8_t *data, size_t n) {
	size_t size = ws->header_n < 2 ? 2 : header_size(ws->header), used = size - ws->header_n;
	if (used > n) used = n;
	memcpy(ws->header + ws->header_n, data, used);
	ws->header_n += (uint8_t)used;
	if (ws->header_n < size) return used;
	if (size == 2) {
		uint16_t code = judge(ws, ws->header);
		if (code) {
			refuse(ws, code);
			return used;
		}
		size = header_size(ws->header);
	}
	if (ws->header_n == size) frame_begins(ws, size);
	return used;
}

size_t mq_ws_next(mq_ws *ws, uint8_t *data, size_t n, uint8_t **piece, size_t *piece_n) {
	*piece_n = 0;
	if (!ws->in_left) return read_header(ws, data, n);
	size_t used = n < ws->in_left ? n : (size_t)ws->in_left;
	if (ws->opcode & CONTROL) {
		mask(ws->control + ws->control_n, data, used, ws->in_key);
		ws->control_n += (uint8_t)used;
	} else {
		if (!ws->client) mask(data, data, used, ws->in_key);
		*piece = data;
		*piece_n = used;
	}
	ws->in_left -= used;
	if (!ws->in_left) frame_ends(ws);
	return used;
}

/* What follows when the connection is to handle nothing more in this turn waits in the connection. */
int mq_ws_feed(mq_ws *ws, uint8_t *data, size_t n) {
	mq_conn *c = ws->conn; /* a callback that closes it may free ws */
	int status = MQ_OK;
	while (n && !ws->code) {
		uint8_t *piece;
		size_t piece_n, used = mq_ws_next(ws, data, n, &piece, &piece_n);
		if (piece_n && status != MQ_STOPPED) status = mq_conn_feed(c, piece, piece_n);
		else if (piece_n && mq_conn_put_by(c, piece, piece_n)) status = MQ_NOMEM;
		if (status > MQ_STOPPED || c->state == MQ_STATE_CLOSED || c->ended) return status;
		data += used;
		n -= used;
	}
	if (!ws->code) return status;
	return ws->refused ? MQ_PROTOCOL : MQ_EOF;
}

/* ---- writing ---- */

static const uint8_t *next_key(mq_ws *ws) {
	if (!ws->keys_left) {
		/* The key keeps proxies from being confused by what a page's script sends (section 10.3). It hides nothing. */
		if (getentropy(ws->keys, sizeof ws->keys)) memset(ws->keys, 0x5A, sizeof ws->keys);
		ws->keys_left = KEYS;
	}
	return ws->keys + --ws->keys_left * KEY;
}

/* The header of a whole message; returns its size. */
static size_t put_header(mq_ws *ws, uint8_t *out, uint8_t opcode, uint64_t n) {
	uint8_t *p = out + 2, masked = ws->client ? MASKED : 0;

	out[0] = FIN | opcode;
	if (n < LENGTH16) out[1] = masked | (uint8_t)n;
	else if (n <= UINT16_MAX) {
		out[1] = masked | LENGTH16;
		p = mq_put16(p, (uint16_t)n);
	} else {
		out[1] = masked | LENGTH64;
		p = mq_put32(p, (uint32_t)(n >> 32));
		p = mq_put32(p, (uint32_t)n);
	}
	if (ws->client) {
		memcpy(ws->out_key, next_key(ws), KEY);
		p = mq_put(p, ws->out_key, KEY);
	}
	return (size_t)(p - out);
}

static void put_payload(mq_ws *ws, uint8_t *out, const uint8_t *data, size_t n) {
	if (ws->client) mask(out, data, n, ws->out_key);
	else memcpy(out, data, n);
}

static size_t put_reply(mq_ws *ws, uint8_t *out) {
	size_t n = put_header(ws, out, ws->reply, ws->answer_n);
	put_payload(ws, out + n, ws->answer, ws->answer_n);
	n += ws->answer_n;
	ws->closed = ws->reply == CLOSE;
	ws->reply = 0;
	return n;
}

/* The size of the packet that begins with these n bytes. Its fixed header lies in one piece, as the output chain has it. */
static size_t packet_size(const uint8_t *p, size_t n) {
	uint32_t length;
	int used = n > 1 ? mq_varint_get(p + 1, n - 1, &length) : 0;
	return used > 0 ? 1u + (size_t)used + length : n;
}

size_t mq_ws_output(mq_ws *ws, uint8_t *out, size_t room) {
	const uint8_t *data;
	size_t done = 0;
	while (!ws->closed && room - done >= HEADER_MAX + CONTROL_MAX) {
		size_t n = mq_conn_output(ws->conn, &data);
		if (ws->ending && !ws->conn->out.bytes) close_with(ws, MQ_WS_NORMAL);
		if (!ws->out_left && ws->reply) {
			done += put_reply(ws, out + done);
			continue;
		}
		if (!n) break;
		if (!ws->out_left) {
			ws->out_left = packet_size(data, n);
			done += put_header(ws, out + done, BINARY, ws->out_left);
		}
		if (n > ws->out_left) n = (size_t)ws->out_left;
		if (n > room - done) n = room - done;
		put_payload(ws, out + done, data, n);
		done += n;
		ws->out_left -= n;
		mq_conn_consumed(ws->conn, n);
	}
	return done;
}
