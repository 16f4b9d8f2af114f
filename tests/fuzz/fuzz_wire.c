/* fuzz_wire.c: every function of wire.h, topic.h and the "bytes" section of core.h that reads bytes from the network.
 *
 * The first byte chooses a function, the rest is its input. What is checked beyond memory: results lie within the input,
 * and two ways to the same answer agree.
 */
#include "input.h"
#include "silent.h"
#include "topic.h"
#include "wire.h"

#define PROPERTIES_MAX 16

static int inside(const uint8_t *p, size_t n, input in) { return p >= in.p && p + n <= in.p + in.n; }

static void varint(input in) {
	uint32_t loose = 0, strict = 0;
	int used = mq_varint_get(in.p, in.n, &loose), shortest = mq_varint_get_strict(in.p, in.n, &strict);
	uint8_t again[4];

	MUST(used >= -1 && used <= 4 && used <= (int)in.n);
	if (used <= 0) {
		MUST(shortest == used);
		return;
	}
	MUST(loose <= MQ_VARINT_MAX);
	size_t n = (size_t)(mq_varint_put(again, loose) - again);
	MUST(n == mq_varint_size(loose));
	MUST(shortest == ((size_t)used == n ? used : -1));
	MUST(shortest < 0 || (strict == loose && !memcmp(again, in.p, n)));
}

static void text(input in) {
	int whole = mq_utf8_valid(in.p, in.n);

	if (whole && in.n > 1) { /* valid text falls into two valid parts at any start of a character */
		size_t at = in.n / 2;

		while (at && (in.p[at] & 0xC0) == 0x80) at--;
		MUST(mq_utf8_valid(in.p, at) && mq_utf8_valid(in.p + at, in.n - at));
	}
}

static void topic(input in) {
	int status = mq_topic_check(in.p, in.n), expected = MQ_OK;

	if (!mq_utf8_valid(in.p, in.n)) expected = MQ_MALFORMED;
	else if (!mq_topic_valid(in.p, in.n)) expected = MQ_BAD_FILTER;
	MUST(status == expected);
	if (status == MQ_OK) {
		MUST(mq_filter_valid(in.p, in.n));
		MUST(mq_topic_matches(in.p, in.n, in.p, in.n));
	}
}

static void match(input in) {
	input filter = take_piece(&in, take_byte(&in));
	int matches = mq_topic_matches(filter.p, filter.n, in.p, in.n);

	MUST(matches == 0 || matches == 1);
	if (mq_filter_valid(filter.p, filter.n) && mq_topic_valid(filter.p, filter.n)) /* no wildcards */
		MUST(matches == (filter.n == in.n && !memcmp(filter.p, in.p, in.n)));
	if (filter.n == 1 && filter.p[0] == '#') MUST(matches == (in.n && in.p[0] != '$'));
}

static void share(input in) {
	const uint8_t *group, *filter;
	size_t group_n, filter_n;
	int status = mq_share_split(in.p, in.n, &group, &group_n, &filter, &filter_n);

	MUST(status == MQ_OK || status == MQ_NONE || status == MQ_BAD_SHARE);
	if (status == MQ_OK) {
		MUST(group_n && filter_n && inside(group, group_n, in) && inside(filter, filter_n, in));
		MUST(group + group_n + 1 == filter && filter + filter_n == in.p + in.n);
		MUST(!memchr(group, '/', group_n) && mq_topic_valid(group, group_n));
	}
}

static void properties(int place, input in) {
	mq_property found[PROPERTIES_MAX];
	size_t count;
	uint32_t bad;
	int status = mq_properties_walk(place, in.p, in.n, found, PROPERTIES_MAX, &count, &bad);

	MUST(count <= in.n / 2);
	MUST(status == MQ_OK || status == MQ_MALFORMED || status == MQ_PROTOCOL || status == MQ_DUPLICATE_PROPERTY ||
		 status == MQ_BAD_UTF8);
	for (size_t i = 0; i < count && i < PROPERTIES_MAX; i++) {
		MUST(!found[i].data || inside(found[i].data, found[i].len, in));
		MUST(!found[i].data2 || inside(found[i].data2, found[i].len2, in));
	}
}

static void publish_properties(input in) {
	mq_publish_properties read, again;
	size_t count;
	uint32_t bad;
	uint8_t *copy = malloc(in.n + 1), *forward = malloc(in.n + 1);

	MUST(copy && forward);
	if (in.n) memcpy(copy, in.p, in.n);
	int status = mq_publish_properties_read(MQ_IN_PUBLISH, in.p, in.n, &read, forward);
	MUST(status == mq_properties_walk(MQ_IN_PUBLISH, in.p, in.n, NULL, 0, &count, &bad));
	if (status == MQ_OK) {
		MUST(read.forward_n <= in.n && read.expiry != UINT32_MAX);
		MUST(mq_publish_properties_read(MQ_IN_PUBLISH, copy, in.n, &again, copy) == MQ_OK); /* in place */
		MUST(again.forward_n == read.forward_n && !memcmp(copy, forward, read.forward_n));
		MUST(mq_properties_walk(MQ_IN_WILL, forward, read.forward_n, NULL, 0, &count, &bad) == MQ_OK);
	}
	free(copy);
	free(forward);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	input in = {data, n};

	switch (take_byte(&in) % 7) {
	case 0: varint(in); break;
	case 1: text(in); break;
	case 2: topic(in); break;
	case 3: match(in); break;
	case 4: share(in); break;
	case 5: publish_properties(in); break;
	case 6: properties(take_byte(&in) % (MQ_IN_DELIVERY + 1), in); break;
	}
	return 0;
}
