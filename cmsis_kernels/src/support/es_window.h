/* The input windows of a convolution, one after another in the order of its outputs [N, H, W].
 *
 * Taps outside the image read a vector of zero points, so that kernels never test bounds inside their loops; the bias
 * has the zero point times the sum of all weights taken off, padded taps included.
 */
#ifndef ES_WINDOW_H
#define ES_WINDOW_H

#include <stdbool.h>

#include "es_intrin.h"
#include "es_types.h"

typedef struct {
    const int8_t *image; /* of the current batch */
    int32_t y, x;        /* input row and column of the first tap, may be outside */
    int32_t out_y, out_x;
} es_window_t;

/* True where windows are pixels, one after another: input and output are lists of vectors. */
static inline bool es_window_is_pixel(const es_conv_params_t *params) {
    return params->kernel_h == 1 && params->kernel_w == 1 && params->in_h == params->out_h &&
           params->in_w == params->out_w && params->stride_h == 1 && params->stride_w == 1 && params->pad_top == 0 &&
           params->pad_left == 0;
}

ES_INLINE es_window_t es_window_first(const es_conv_params_t *params, const int8_t *input) {
    const es_window_t first = {input, -params->pad_top, -params->pad_left, 0, 0};
    return first;
}

static inline void es_window_next(const es_conv_params_t *params, es_window_t *window) {
    window->x += params->stride_w;
    if (++window->out_x < params->out_w) {
        return;
    }
    window->out_x = 0;
    window->x = -params->pad_left;
    window->y += params->stride_h;
    if (++window->out_y < params->out_h) {
        return;
    }
    window->out_y = 0;
    window->y = -params->pad_top;
    window->image += params->in_h * params->in_w * params->in_c;
}

/* The values under taps kx, kx + 1, ... of row ky as far as they lie side by side, and how many taps that is. Those
 * outside are taken from `pad`, kernel_w * in_c zero points.
 */
ES_INLINE const int8_t *es_window_run(const es_conv_params_t *params, const es_window_t *window, int32_t ky, int32_t kx,
                                      const int8_t *pad, int32_t *taps) {
    const int32_t y = window->y + ky * params->dilation_h;
    const int32_t x = window->x + kx * params->dilation_w;
    const int32_t left = params->kernel_w - kx;
    if (y < 0 || y >= params->in_h || x >= params->in_w) {
        *taps = left;
        return pad;
    }
    const int32_t until = x < 0 ? -x : params->in_w - x; /* columns up to the image's next edge */
    *taps = params->dilation_w != 1 ? 1 : until < left ? until : left;
    return x < 0 ? pad : window->image + (y * params->in_w + x) * params->in_c;
}

/* Copies bytes, a word at a time, the last one over the one before: the library's memcpy may go byte by byte. */
ES_INLINE void es_copy(int8_t *to, const int8_t *from, int32_t bytes) {
    if (bytes < 4) {
        for (; bytes > 0; bytes--) {
            *to++ = *from++;
        }
        return;
    }
    for (; bytes > 4; bytes -= 4) {
        es_write_u32(to, es_read_u32(from));
        to += 4;
        from += 4;
    }
    es_write_u32(to + bytes - 4, es_read_u32(from + bytes - 4));
}

/* Copies a window to a column of kernel_h * kernel_w * in_c bytes. */
void es_window_copy(const es_conv_params_t *params, const es_window_t *window, const int8_t *pad, int8_t *column);

/* Fills bytes with one value. */
static inline void es_fill(int8_t *to, int32_t value, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = (int8_t)value;
    }
}

#endif
