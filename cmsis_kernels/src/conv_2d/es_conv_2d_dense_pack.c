#include "es_conv_2d_dense.h"

/* Pixels from column x of a row on, all of them in the image or all outside; NULL is a row outside. Those outside are
 * taken from `pad`, kernel_w of them.
 */
typedef struct {
    const int8_t *from;
    int32_t count;
} pixels_t;

static pixels_t pixels_at(const es_conv_params_t *params, const int8_t *row, int32_t x, const int8_t *pad) {
    pixels_t pixels = {pad, params->kernel_w};
    if (row != NULL && x < 0) {
        pixels.count = -x < params->kernel_w ? -x : params->kernel_w;
    } else if (row != NULL && x < params->in_w) {
        pixels.from = row + x * params->in_c;
        pixels.count = params->in_w - x;
    }
    return pixels;
}

/* A line of pixels, each with the one `apart` columns further on. */
static uint32_t *pack_line(const es_conv_params_t *params, const int8_t *row, int32_t x, int32_t apart, int32_t count,
                           const int8_t *pad, uint32_t *to) {
    const int32_t step = params->kernel_w == 1 ? params->stride_w : 1;
    while (count != 0) {
        const pixels_t first = pixels_at(params, row, x, pad);
        const pixels_t second = pixels_at(params, row, x + apart, pad);
        int32_t run = first.count < second.count ? first.count : second.count;
        run = step != 1 ? 1 : run < count ? run : count;
        to = es_dense_pack_columns(to, first.from, second.from, (uint32_t)(run * params->in_c) / 4);
        x += run * step;
        count -= run;
    }
    return to;
}

void es_dense_pack_strip(const es_conv_params_t *params, const es_dense_strip_t *strip, const int8_t *image, int32_t y,
                         int32_t x, const int8_t *pad, uint32_t *to) {
    const int32_t step = params->kernel_h == 1 ? params->stride_h : 1;
    const int32_t apart = (int32_t)strip->band.second * params->stride_w;
    for (uint32_t left = strip->in_lines; left != 0; left--) {
        const int8_t *const row = y >= 0 && y < params->in_h ? image + y * params->in_w * params->in_c : NULL;
        to = pack_line(params, row, x, apart, (int32_t)strip->pixels, pad, to);
        y += step;
    }
}
