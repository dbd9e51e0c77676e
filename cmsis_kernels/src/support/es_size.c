#include "es_size.h"

static uint32_t stick(uint64_t size) { return size > UINT32_MAX ? UINT32_MAX : (uint32_t)size; }

uint32_t es_size_mul(uint32_t a, uint32_t b) { return stick((uint64_t)a * b); }

uint32_t es_size_add(uint32_t a, uint32_t b) { return stick((uint64_t)a + b); }

uint32_t es_size_round4(uint32_t a) { return a > UINT32_MAX - 3U ? UINT32_MAX - 3U : (a + 3U) & ~3U; }
