/* Frames: COBS between zero bytes, CRC-32 inside. SPEC.md, section "Frames".
 *
 *   header (8 bytes) | payload (0..256 bytes) | CRC-32 of both, little-endian   -> COBS -> 0x00
 */
#ifndef ES_FRAME_H
#define ES_FRAME_H

#include "es.h"

#include "es_structs_begin.h"

#define ES_RECORD(type, direction, name, tail, doc)
#include "tables/frame.def"
#include "tables/records.def"

#include "es_structs_end.h"
#undef ES_RECORD

enum {
#define ES_STRUCT(name)
#define ES_FIELD(type, name, doc)
#define ES_ARRAY(type, count, name, doc)
#define ES_END(name, bytes)
#define ES_RECORD(type, direction, name, tail, doc) ES_RECORD_##name = (type),
#include "tables/records.def"
#undef ES_STRUCT
#undef ES_FIELD
#undef ES_ARRAY
#undef ES_END
#undef ES_RECORD
};

#define ES_PROTOCOL 2u
#define ES_PAYLOAD_MAX 256u
#define ES_FRAME_RAW_MAX (sizeof(es_frame_header_t) + ES_PAYLOAD_MAX + 4u)
#define ES_FRAME_WIRE_MAX (ES_FRAME_RAW_MAX + 2u) /* COBS adds one byte, and one more past 254 */

/* A received frame, checked: payload points into the decoder's buffer until the next es_frame_push. */
typedef struct {
    es_frame_header_t header;
    const uint8_t *payload;
    uint32_t payload_bytes;
} es_frame_t;

/* Gathers received bytes. Zero-initialise. */
typedef struct {
    uint8_t buffer[ES_FRAME_WIRE_MAX];
    uint32_t used;
    uint32_t dropped; /* frames thrown away: too long, badly stuffed, wrong CRC */
    bool overflow;
} es_frame_decoder_t;

/* Builds a frame of head and tail (together at most ES_PAYLOAD_MAX bytes) in `wire`, which holds
 * ES_FRAME_WIRE_MAX + 1 bytes. Returns the bytes written, the closing zero included.
 */
uint32_t es_frame_build(uint8_t *wire, const es_frame_header_t *header, const void *head, uint32_t head_bytes,
                        const void *tail, uint32_t tail_bytes);

/* Takes one received byte. Returns true when it completes a good frame, described in `frame`. */
bool es_frame_push(es_frame_decoder_t *decoder, uint8_t byte, es_frame_t *frame);

#endif
