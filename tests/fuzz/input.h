/* input.h: the bytes of one fuzz run, taken from the front. What is not there reads as zero.
 *
 * The targets are run by `make fuzz SECONDS=600`; a finding is replayed with build/fuzz/TARGET FILE.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct input {
	const uint8_t *p;
	size_t n;
} input;

/* An invariant that does not hold is a finding, like a bad access. */
#define MUST(condition)                                                                \
	do {                                                                               \
		if (!(condition)) {                                                            \
			fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                   \
		}                                                                              \
	} while (0)

static inline uint8_t take_byte(input *in) {
	if (!in->n) return 0;
	in->n--;
	return *in->p++;
}

static inline uint16_t take_two_bytes(input *in) {
	uint16_t high = take_byte(in);
	return (uint16_t)(high << 8 | take_byte(in));
}

/* The next n bytes, or what is left of them. */
static inline input take_piece(input *in, size_t n) {
	input piece = {in->p, n < in->n ? n : in->n};

	in->p += piece.n;
	in->n -= piece.n;
	return piece;
}

#endif
