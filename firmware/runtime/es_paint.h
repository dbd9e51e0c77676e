/* High-water marks: memory that nobody uses yet is painted, and what has lost its paint was used. */
#ifndef ES_PAINT_H
#define ES_PAINT_H

#include <stdint.h>

#define ES_PAINT 0xA5u

/* Offset behind the last byte of `bytes` bytes that is not painted; 0 if all are. */
uint32_t es_painted_from(const uint8_t *base, uint32_t bytes);

/* Offset of the first byte of `bytes` bytes that is not painted; `bytes` if all are. */
uint32_t es_painted_until(const uint8_t *base, uint32_t bytes);

#endif
