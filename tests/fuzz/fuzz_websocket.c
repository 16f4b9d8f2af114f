/* fuzz_websocket.c: RFC 6455 frames in both directions.
 *
 * The first byte says which end reads, and whether the rest is frames as they come from a peer, or MQTT packets that go out
 * and come back. What is checked beyond memory: payload lies within the input, the pieces in which a stream comes change
 * nothing, and what one end writes the other reads.
 */
#include <string.h>
#include "input.h"
#include "silent.h"
#include "websocket.h"

#define SEEN_MAX 4096

/* What was read: payload, and how it ended. */
typedef struct seen {
	uint8_t data[SEEN_MAX];
	size_t n;
	int code;
} seen;

/* Read all of the input, in pieces of at most step bytes. */
static void read_frames(mq_ws *ws, input in, size_t step, seen *out) {
	uint8_t copy[SEEN_MAX], *piece;
	size_t piece_n;

	while (in.n && !mq_ws_code(ws)) {
		input some = take_piece(&in, step < sizeof copy ? step : sizeof copy);
		uint8_t *p = copy, *end = copy + some.n;
		memcpy(copy, some.p, some.n);
		while (p < end && !mq_ws_code(ws)) {
			size_t used = mq_ws_next(ws, p, (size_t)(end - p), &piece, &piece_n);
			MUST(used && used <= (size_t)(end - p));
			MUST(!piece_n || (piece >= p && piece + piece_n <= p + used));
			MUST(out->n + piece_n <= sizeof out->data);
			if (piece_n) memcpy(out->data + out->n, piece, piece_n);
			out->n += piece_n;
			p += used;
		}
	}
	out->code = mq_ws_code(ws);
}

static void from_peer(mq_core *core, int client, input in) {
	static seen whole, pieces;
	size_t step = 1u + take_byte(&in) % 7;
	uint8_t answer[MQ_WS_ROOM];
	mq_conn *conn = mq_conn_new(core, -1, 0);

	MUST(conn);
	mq_ws *one = mq_ws_new(conn, client), *other = mq_ws_new(conn, client);
	MUST(one && other);
	whole.n = pieces.n = 0;
	in.n = in.n < SEEN_MAX ? in.n : SEEN_MAX;
	read_frames(one, in, in.n, &whole);
	read_frames(other, in, step, &pieces);
	MUST(whole.n == pieces.n && whole.code == pieces.code && !memcmp(whole.data, pieces.data, whole.n));
	size_t n = mq_ws_output(one, answer, sizeof answer); /* a pong or a Close, or nothing */
	MUST(n <= 125 + 2 + 4 && (!whole.code || (n && (answer[0] == 0x88))));
	MUST(!mq_ws_output(one, answer, sizeof answer));
	mq_ws_free(one);
	mq_ws_free(other);
	mq_conn_close(conn);
	mq_core_reap(core);
}

static void there_and_back(mq_core *core, int client, input in) {
	static seen back;
	uint8_t out[MQ_WS_ROOM], sent[SEEN_MAX], packet[300];
	size_t room = MQ_WS_ROOM - take_byte(&in), n = 0;
	mq_conn *conn = mq_conn_new(core, -1, 0);

	MUST(conn);
	mq_ws *writer = mq_ws_new(conn, !client), *reader = mq_ws_new(conn, client);
	MUST(writer && reader);
	back.n = 0;
	while (in.n && n < SEEN_MAX - sizeof packet) {
		input body = take_piece(&in, take_byte(&in));
		size_t at = 2;
		packet[0] = 0x30;
		packet[1] = (uint8_t)(body.n & 0x7F);
		if (body.n > 0x7F) packet[1] |= 0x80, packet[at++] = (uint8_t)(body.n >> 7);
		memcpy(packet + at, body.p, body.n);
		MUST(mq_conn_send(conn, packet, at + body.n) == MQ_OK);
		memcpy(sent + n, packet, at + body.n);
		n += at + body.n;
	}
	mq_ws_close(writer);
	for (size_t k; (k = mq_ws_output(writer, out, room));) {
		MUST(k <= room);
		read_frames(reader, (input){out, k}, k, &back);
	}
	MUST(back.code == MQ_WS_NORMAL && back.n == n && !memcmp(back.data, sent, n));
	mq_ws_free(writer);
	mq_ws_free(reader);
	mq_conn_close(conn);
	mq_core_reap(core);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	input in = {data, n};
	mq_core *core = mq_core_new(NULL);
	uint8_t what = take_byte(&in);

	MUST(core);
	if (what & 2) there_and_back(core, what & 1, in);
	else from_peer(core, what & 1, in);
	mq_core_free(core);
	return 0;
}
