/* silent.h: for targets that link the core but run none of it that calls back. */
#ifndef FUZZ_SILENT_H
#define FUZZ_SILENT_H
#include <stdlib.h>
#include "callbacks.h"

int mq_on_packet(void *user, uint32_t owner, uint8_t first, const uint8_t *body, size_t n) { abort(); }
int mq_on_messages(
	void *user, uint32_t owner, const uint8_t *bytes, size_t bytes_n, const struct mq_received *received, size_t n) {
	abort();
}
int mq_on_control(void *user, uint32_t owner, uint8_t qos, uint16_t mid, const uint8_t *topic, size_t topic_n,
	const uint8_t *payload, size_t payload_n) {
	abort();
}
void mq_on_output(void *user, uint32_t owner, int error) { abort(); }
void mq_on_notice(void *user, int notice, const uint8_t *client_id, size_t n, uint32_t value) { abort(); }
int mq_on_access(void *user, const uint8_t *client_id, size_t n, int access, const uint8_t *topic, size_t topic_n,
	const uint8_t *payload, size_t payload_n, uint8_t qos, int retain) {
	abort();
}
int mq_on_source(void *user, const uint8_t *client_id, size_t n, const uint8_t *username, int username_n, uint16_t port,
	const uint8_t *topic, size_t topic_n) {
	abort();
}
void mq_on_trace(void *user, int sent, const uint8_t *client_id, size_t id_n, uint8_t first, uint16_t mid, int rc,
	const uint8_t *topic, size_t topic_n, uint32_t payload_n, int verdict) {
	abort();
}

#endif
