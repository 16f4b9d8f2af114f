/* wire_test.c: the functions of wire.h and topic.h that core.h does not declare, called directly (tests/csrc/test_wire.py
 * compiles and runs this). One function per behaviour; the first check that fails names itself and ends the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include "topic.h"
#include "wire.h"

#define CHECK(condition)                                                                  \
	do {                                                                                  \
		if (!(condition)) {                                                               \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
			exit(1);                                                                      \
		}                                                                                 \
	} while (0)
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

/* [MQTT-1.5.5-1]: each length at its ends. */
static void variable_integers_have_one_to_four_bytes(void) {
	static const struct {
		uint32_t value;
		int bytes;
	} rows[] = {{0, 1}, {127, 1}, {128, 2}, {16383, 2}, {16384, 3}, {2097151, 3}, {2097152, 4}, {MQ_VARINT_MAX, 4}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t room[4];
		uint32_t value;
		size_t n = (size_t)(mq_varint_put(room, rows[i].value) - room);

		CHECK((int)n == rows[i].bytes && mq_varint_size(rows[i].value) == n);
		CHECK(mq_varint_get(room, n, &value) == rows[i].bytes && value == rows[i].value);
		CHECK(mq_varint_get_strict(room, n, &value) == rows[i].bytes && value == rows[i].value);
		CHECK(mq_varint_get(room, n - 1, &value) == 0);
	}
}

static void fifth_byte_of_an_integer_is_malformed(void) {
	uint32_t value;

	CHECK(mq_varint_get(BYTES("\x80\x80\x80\x80"), &value) == -1);
	CHECK(mq_varint_get(BYTES("\xff\xff\xff\xff\x01"), &value) == -1);
	CHECK(mq_varint_get(BYTES("\x80\x80\x80"), &value) == 0);
}

/* Accepted in a fixed header, refused in a property. */
static void over_long_integer_is_malformed_only_where_strict(void) {
	uint32_t value;

	CHECK(mq_varint_get(BYTES("\x80\x00"), &value) == 2 && value == 0);
	CHECK(mq_varint_get_strict(BYTES("\x80\x00"), &value) == -1);
	CHECK(mq_varint_get_strict(BYTES("\xff\x80\x80\x00"), &value) == -1);
	CHECK(mq_varint_get_strict(BYTES("\x00"), &value) == 1);
}

/* The word-wise test looks at names of each length in its own way: put something wrong at each place of each length. */
static void topic_check_sees_every_byte(void) {
	static const struct {
		uint8_t byte;
		int status;
	} rows[] = {{'+', MQ_BAD_FILTER}, {'#', MQ_BAD_FILTER}, {0, MQ_MALFORMED}, {0x1F, MQ_MALFORMED}, {0x7F, MQ_MALFORMED},
		{0x80, MQ_MALFORMED}, {0xFF, MQ_MALFORMED}, {'*', MQ_OK}, {',', MQ_OK}, {'"', MQ_OK}, {'$', MQ_OK}, {' ', MQ_OK},
		{'~', MQ_OK}, {'/', MQ_OK}};
	uint8_t topic[40];

	for (size_t n = 1; n <= sizeof topic; n++)
		for (size_t at = 0; at < n; at++)
			for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
				memset(topic, 'a', n);
				topic[at] = rows[i].byte;
				CHECK(mq_topic_check(topic, n) == rows[i].status);
			}
	CHECK(mq_topic_check(NULL, 0) == MQ_BAD_FILTER);
}

static void topic_check_knows_text_from_bytes(void) {
	CHECK(mq_topic_check(BYTES("stra\xc3\x9f"
							   "e/\xe2\x82\xac")) == MQ_OK);
	CHECK(mq_topic_check(BYTES("stra\xc3\x9f"
							   "e/+")) == MQ_BAD_FILTER);
	CHECK(mq_topic_check(BYTES("stra\xc3/+")) == MQ_MALFORMED);
	CHECK(mq_topic_check(BYTES("\xc2\x85")) == MQ_MALFORMED);
}

static void topic_check_counts_levels(void) {
	uint8_t topic[300];

	memset(topic, '/', sizeof topic);
	CHECK(mq_topic_check(topic, MQ_LEVELS_MAX - 1) == MQ_OK);
	CHECK(mq_topic_check(topic, MQ_LEVELS_MAX) == MQ_BAD_FILTER);
	memset(topic, 'a', sizeof topic);
	CHECK(mq_topic_check(topic, sizeof topic) == MQ_OK);
}

static int split(const char *s) {
	const uint8_t *group, *filter;
	size_t group_n, filter_n;

	return mq_share_split((const uint8_t *)s, strlen(s), &group, &group_n, &filter, &filter_n);
}

static void share_has_group_and_filter(void) {
	const uint8_t *group, *filter;
	size_t group_n, filter_n;

	CHECK(mq_share_split(BYTES("$share/g1/a/#"), &group, &group_n, &filter, &filter_n) == MQ_OK);
	CHECK(group_n == 2 && !memcmp(group, "g1", 2) && filter_n == 3 && !memcmp(filter, "a/#", 3));
	CHECK(split("$share/g//") == MQ_OK);
	CHECK(split("$share/g/#") == MQ_OK);
}

/* [MQTT-4.8.2-1], [MQTT-4.8.2-2] */
static void share_without_group_or_filter_is_bad(void) {
	static const char *const bad[] = {"$share", "$share/", "$share/g", "$share/g/", "$share//x", "$share//", "$share/+/x",
		"$share/#", "$share/g+/x", "$share/#/x"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(split(bad[i]) == MQ_BAD_SHARE);
}

static void other_names_are_not_shares(void) {
	CHECK(split("") == MQ_NONE);
	CHECK(split("$shar") == MQ_NONE);
	CHECK(split("$shared/g/x") == MQ_NONE);
	CHECK(split("a/$share/g/x") == MQ_NONE);
	CHECK(split("$SHARE/g/x") == MQ_NONE);
}

/* Section 3.3.2.3: what goes on to subscribers, in the order received, and what does not. */
static void publish_properties_are_forwarded_in_order(void) {
	static const uint8_t list[] = "\x26\0\1a\0\1b"
								  "\x02\0\0\0\x1e"
								  "\x01\1"
								  "\x23\0\5"
								  "\x26\0\1a\0\1c";
	static const uint8_t kept[] = "\x26\0\1a\0\1b"
								  "\x01\1"
								  "\x26\0\1a\0\1c";
	mq_publish_properties found;
	uint8_t room[sizeof list];

	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, list, sizeof list - 1, &found, room) == MQ_OK);
	CHECK(found.expiry == 30 && found.alias == 5);
	CHECK(found.forward_n == sizeof kept - 1 && !memcmp(room, kept, sizeof kept - 1));
	memcpy(room, list, sizeof list); /* in place */
	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, room, sizeof list - 1, &found, room) == MQ_OK);
	CHECK(found.forward_n == sizeof kept - 1 && !memcmp(room, kept, sizeof kept - 1));
}

static void publish_without_properties(void) {
	mq_publish_properties found = {1, 1, 1};

	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, NULL, 0, &found, NULL) == MQ_OK);
	CHECK(!found.expiry && !found.alias && !found.forward_n);
}

static void expiry_of_0_and_of_the_maximum_are_never(void) {
	mq_publish_properties found;
	uint8_t room[8];

	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x02\0\0\0\0"), &found, room) == MQ_OK && found.expiry == 0);
	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x02\xff\xff\xff\xff"), &found, room) == MQ_OK && found.expiry == 0);
	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x02\xff\xff\xff\xfe"), &found, room) == MQ_OK &&
		  found.expiry == UINT32_MAX - 1);
}

/* [MQTT-3.3.4-6]: a client may not send a subscription identifier. */
static void wrong_publish_properties_are_told_apart(void) {
	mq_publish_properties found;
	uint8_t room[16];

	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x0b\1"), &found, room) == MQ_PROTOCOL);
	CHECK(mq_publish_properties_read(MQ_IN_STORED, BYTES("\x0b\xac\2"), &found, NULL) == MQ_OK && found.id == 300);
	CHECK(mq_publish_properties_read(MQ_IN_STORED, BYTES("\x11\0\0\0\1"), &found, NULL) == MQ_PROTOCOL);
	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x23\0\0"), &found, room) == MQ_PROTOCOL);
	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x23\0\1\x23\0\1"), &found, room) == MQ_DUPLICATE_PROPERTY);
	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x23\0"), &found, room) == MQ_MALFORMED);
	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x7e"), &found, room) == MQ_MALFORMED);
	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x03\0\1\xff"), &found, room) == MQ_BAD_UTF8);
	CHECK(mq_publish_properties_read(MQ_IN_PUBLISH, BYTES("\x08\0\1#"), &found, room) == MQ_PROTOCOL);
}

int main(void) {
	variable_integers_have_one_to_four_bytes();
	fifth_byte_of_an_integer_is_malformed();
	over_long_integer_is_malformed_only_where_strict();
	topic_check_sees_every_byte();
	topic_check_knows_text_from_bytes();
	topic_check_counts_levels();
	share_has_group_and_filter();
	share_without_group_or_filter_is_bad();
	other_names_are_not_shares();
	publish_properties_are_forwarded_in_order();
	publish_without_properties();
	expiry_of_0_and_of_the_maximum_are_never();
	wrong_publish_properties_are_told_apart();
	return 0;
}
