/* Sizes computed from untrusted parameters: they stick at 2^32 - 1 instead of wrapping, and no scratch is that big. */
#ifndef ES_SIZE_H
#define ES_SIZE_H

#include "es_intrin.h"

ES_INLINE uint32_t es_size_stick(uint64_t size) { return size > UINT32_MAX ? UINT32_MAX : (uint32_t)size; }

ES_INLINE uint32_t es_size_mul(uint32_t a, uint32_t b) { return es_size_stick((uint64_t)a * b); }

ES_INLINE uint32_t es_size_add(uint32_t a, uint32_t b) { return es_size_stick((uint64_t)a + b); }

/* Up to a multiple of 4; sticks at 2^32 - 4, which is a multiple as well and as impossible. */
ES_INLINE uint32_t es_size_round4(uint32_t a) { return a > UINT32_MAX - 3U ? UINT32_MAX - 3U : (a + 3U) & ~3U; }

#endif
