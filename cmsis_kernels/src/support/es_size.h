/* Sizes computed from untrusted parameters: they stick at 2^32 - 1 instead of wrapping, and no scratch is that big.
 *
 * Functions, not part of their callers: plans consist of little else, and each is made once a run.
 */
#ifndef ES_SIZE_H
#define ES_SIZE_H

#include "es_intrin.h"

uint32_t es_size_mul(uint32_t a, uint32_t b);
uint32_t es_size_add(uint32_t a, uint32_t b);

/* Up to a multiple of 4; sticks at 2^32 - 4, which is a multiple as well and as impossible. */
uint32_t es_size_round4(uint32_t a);

#endif
