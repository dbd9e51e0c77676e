/* The functions of the C library that this firmware and the compiler's own code call: short, not fast, since what is
 * large is copied by kernels (es_window.h). Those of newlib are unrolled and take nine times as much.
 */
#include <string.h>

#include "es_intrin.h"

/* From the lowest byte on: no word is written before what lies there is read, where `to` is below `from`. */
static void copy_up(uint8_t *to, const uint8_t *from, size_t bytes) {
    for (; bytes >= 8; bytes -= 8) {
        es_write_u32(to, es_read_u32(from));
        es_write_u32(to + 4, es_read_u32(from + 4));
        to += 8;
        from += 8;
    }
    for (; bytes != 0; bytes--) {
        *to++ = *from++;
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    copy_up(to, from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
    uint8_t *const a = to;
    const uint8_t *const b = from;
    if (a <= b) {
        copy_up(a, b, bytes);
        return to;
    }
    while (bytes-- != 0) {
        a[bytes] = b[bytes];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    const uint32_t word = (uint32_t)(value & 0xff) * 0x01010101U;
    uint8_t *at = to;
    for (; bytes >= 8; bytes -= 8) {
        es_write_u32(at, word);
        es_write_u32(at + 4, word);
        at += 8;
    }
    for (; bytes != 0; bytes--) {
        *at++ = (uint8_t)word;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
    const uint8_t *x = a, *y = b;
    for (; bytes != 0; bytes--) {
        const int difference = *x++ - *y++;
        if (difference != 0) {
            return difference;
        }
    }
    return 0;
}

size_t strlen(const char *text) {
    const char *end = text;
    while (*end != '\0') {
        end++;
    }
    return (size_t)(end - text);
}
