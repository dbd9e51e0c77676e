#include "es_paint.h"

uint32_t es_painted_from(const uint8_t *base, uint32_t bytes) {
    while (bytes > 0 && base[bytes - 1u] == ES_PAINT) {
        bytes--;
    }
    return bytes;
}

uint32_t es_painted_until(const uint8_t *base, uint32_t bytes) {
    uint32_t i = 0;
    while (i < bytes && base[i] == ES_PAINT) {
        i++;
    }
    return i;
}
