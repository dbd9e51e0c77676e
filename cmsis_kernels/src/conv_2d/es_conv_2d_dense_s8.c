#include "es_dense_rows.h"
#include "es_intrin_tile.h"
#include "es_kernels.h"
#include "es_size.h"
#include "es_window.h"

/* Scratch: a band of packed columns and a tile of rows; the zero points; two columns of bytes, where in_c is no multiple
 * of 4 or where positions are made one by one.
 */
typedef struct {
    uint32_t count;  /* values of a column */
    uint32_t padded; /* rounded up to 4 */
    uint32_t positions;
    uint32_t band;
    uint32_t packed_bytes;
    uint32_t pad_bytes;
    uint32_t bytes_bytes;
} layout_t;

static layout_t layout_of(const es_conv_params_t *params) {
    layout_t layout;
    const uint32_t in_c = (uint32_t)params->in_c;
    const uint32_t pixels = es_size_mul((uint32_t)params->out_h, (uint32_t)params->out_w);
    layout.count = es_size_mul(es_size_mul((uint32_t)params->kernel_h, (uint32_t)params->kernel_w), in_c);
    layout.padded = es_size_round4(layout.count);
    layout.positions = es_size_mul(pixels, (uint32_t)params->batches);
    layout.band = es_dense_band((uint32_t)params->out_c, layout.positions, params->band);
    layout.packed_bytes = es_dense_scratch_bytes(layout.padded / 4, layout.band);
    layout.pad_bytes = es_size_round4(es_size_mul((uint32_t)params->kernel_w, in_c));
    layout.bytes_bytes = in_c % 4 == 0 && layout.band > 1 ? 0 : es_size_mul(layout.padded, layout.band == 1 ? 1 : 2);
    return layout;
}

uint32_t es_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params) {
    const layout_t layout = layout_of(params);
    return es_size_add(layout.packed_bytes, es_size_add(layout.pad_bytes, layout.bytes_bytes));
}

/* Two windows to packed columns, straight from the image: only where in_c is a multiple of 4. */
static uint32_t *pack_taps(const es_conv_params_t *params, const es_window_t windows[2], const int8_t *pad,
                           uint32_t *to) {
    int32_t taps, taps1;
    for (int32_t ky = 0; ky < params->kernel_h; ky++) {
        for (int32_t kx = 0; kx < params->kernel_w; kx += taps) {
            const int8_t *const first = es_window_run(params, &windows[0], ky, kx, pad, &taps);
            const int8_t *const second = es_window_run(params, &windows[1], ky, kx, pad, &taps1);
            taps = taps1 < taps ? taps1 : taps;
            to = es_tile_pack_columns(to, first, second, (uint32_t)(taps * params->in_c) / 4);
        }
    }
    return to;
}

/* A band of `positions` windows to packed columns. */
static void pack_band(const es_conv_params_t *params, const layout_t *layout, es_window_t *next, uint32_t positions,
                      uint32_t *to, const int8_t *pad) {
    int8_t *const bytes = (int8_t *)pad + layout->pad_bytes;
    while (positions != 0) {
        es_window_t windows[2] = {*next, *next};
        es_window_next(params, next);
        positions--;
        if (positions != 0) {
            windows[1] = *next;
            es_window_next(params, next);
            positions--;
        }
        if (layout->bytes_bytes == 0) {
            to = pack_taps(params, windows, pad, to);
        } else {
            es_window_copy(params, &windows[0], pad, bytes);
            es_window_copy(params, &windows[1], pad, bytes + layout->padded);
            to = es_tile_pack_columns(to, bytes, bytes + layout->padded, layout->padded / 4);
        }
    }
}

void es_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                         const es_channel_t *channels, int8_t *output, void *scratch) {
    const layout_t layout = layout_of(params);
    const es_dense_rows_t dense = {weights, channels, (uint32_t)params->out_c, layout.padded / 4,
                                   es_output(params->out_zero_point, params->act_min, params->act_max)};
    uint32_t *const packed = scratch;
    if (es_window_is_pixel(params)) {
        es_dense_rows_vectors(&dense, input, layout.count, layout.positions, layout.band, output, packed);
        return;
    }
    int8_t *const pad = (int8_t *)scratch + layout.packed_bytes;
    int8_t *const bytes = pad + layout.pad_bytes;
    es_fill(pad, params->in_zero_point, layout.pad_bytes);
    es_fill(bytes, 0, layout.bytes_bytes); /* the rows' padding meets zeros */

    es_window_t window = es_window_first(params, input);
    for (uint32_t left = layout.positions; left != 0;) {
        const uint32_t columns = left < layout.band ? left : layout.band;
        if (layout.band == 1) {
            es_window_copy(params, &window, pad, bytes);
            es_window_next(params, &window);
            es_dense_pack_one(packed, bytes, layout.count);
            es_dense_rows_one(&dense, packed, output);
        } else {
            pack_band(params, &layout, &window, columns, packed, pad);
            es_dense_rows_band(&dense, packed, columns, output);
        }
        output += columns * dense.rows;
        left -= columns;
    }
}
