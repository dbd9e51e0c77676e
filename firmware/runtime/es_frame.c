#include "es_frame.h"

#include <string.h>

/* COBS encoder that takes its bytes piece by piece. */
typedef struct {
    uint8_t *wire;
    uint32_t code_at; /* where the present block's length byte will go */
    uint32_t used;
} cobs_t;

static void cobs_put(cobs_t *cobs, const void *data, uint32_t bytes) {
    const uint8_t *from = data;
    for (uint32_t i = 0; i < bytes; i++) {
        if (from[i] != 0) {
            cobs->wire[cobs->used++] = from[i];
        }
        if (from[i] == 0 || cobs->used - cobs->code_at == 255u) {
            cobs->wire[cobs->code_at] = (uint8_t)(cobs->used - cobs->code_at);
            cobs->code_at = cobs->used++;
        }
    }
}

uint32_t es_frame_build(uint8_t *wire, const es_frame_header_t *header, const void *head, uint32_t head_bytes,
                        const void *tail, uint32_t tail_bytes) {
    uint32_t crc = es_crc32(0, (const void *)header, sizeof(*header));
    crc = es_crc32(crc, head, head_bytes);
    crc = es_crc32(crc, tail, tail_bytes);
    cobs_t cobs = {.wire = wire, .code_at = 0, .used = 1};
    cobs_put(&cobs, header, sizeof(*header));
    cobs_put(&cobs, head, head_bytes);
    cobs_put(&cobs, tail, tail_bytes);
    cobs_put(&cobs, &crc, sizeof(crc));
    wire[cobs.code_at] = (uint8_t)(cobs.used - cobs.code_at);
    wire[cobs.used++] = 0;
    return cobs.used;
}

/* Undoes COBS in place. Returns the decoded length, 0 for bytes that are no COBS. */
static uint32_t cobs_decode(uint8_t *data, uint32_t bytes) {
    uint32_t in = 0;
    uint32_t out = 0;
    while (in < bytes) {
        const uint32_t code = data[in];
        if (code > bytes - in) {
            return 0;
        }
        memmove(&data[out], &data[in + 1u], code - 1u);
        out += code - 1u;
        in += code;
        if (code != 255u && in < bytes) {
            data[out++] = 0;
        }
    }
    return out;
}

static bool open_frame(es_frame_decoder_t *decoder, es_frame_t *frame) {
    const uint32_t bytes = cobs_decode(decoder->buffer, decoder->used);
    if (bytes < sizeof(frame->header) + 4u || bytes > ES_FRAME_RAW_MAX) {
        return false;
    }
    uint32_t crc;
    memcpy(&crc, &decoder->buffer[bytes - 4u], sizeof(crc));
    memcpy(&frame->header, decoder->buffer, sizeof(frame->header));
    if (crc != es_crc32(0, decoder->buffer, bytes - 4u) || frame->header.reserved != 0) {
        return false;
    }
    frame->payload = decoder->buffer + sizeof(frame->header);
    frame->payload_bytes = bytes - (uint32_t)sizeof(frame->header) - 4u;
    return true;
}

bool es_frame_push(es_frame_decoder_t *decoder, uint8_t byte, es_frame_t *frame) {
    if (byte != 0) {
        if (decoder->used == sizeof(decoder->buffer)) {
            decoder->overflow = true;
            return false;
        }
        decoder->buffer[decoder->used++] = byte;
        return false;
    }
    const bool empty = decoder->used == 0 && !decoder->overflow;
    const bool good = !empty && !decoder->overflow && open_frame(decoder, frame);
    if (!empty && !good) {
        decoder->dropped++;
    }
    decoder->used = 0;
    decoder->overflow = false;
    return good;
}
