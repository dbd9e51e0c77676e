#include "es_dense_rows.h"
#include "es_intrin_tile.h"
#include "es_kernels.h"
#include "es_size.h"
#include "es_window.h"

/* Scratch: a band of packed columns and a tile of rows; a filter row of zero points; two columns of bytes, one where
 * positions are made one by one.
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
    layout.bytes_bytes = es_size_mul(layout.padded, layout.band == 1 ? 1 : 2);
    return layout;
}

uint32_t es_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params) {
    const layout_t layout = layout_of(params);
    return es_size_add(layout.packed_bytes, es_size_add(layout.pad_bytes, layout.bytes_bytes));
}

/* Whether all taps of a window are inside the image. */
ES_INLINE bool is_inside(const es_conv_params_t *params, const es_window_t *window) {
    return window->y >= 0 && window->y + (params->kernel_h - 1) * params->dilation_h < params->in_h && window->x >= 0 &&
           window->x + params->kernel_w <= params->in_w;
}

/* Two windows to packed columns, straight from the image: where filter rows are whole words there. */
static uint32_t *pack_inside(const es_conv_params_t *params, const es_window_t windows[2], uint32_t *to) {
    const int32_t step = params->dilation_h * params->in_w * params->in_c;
    const uint32_t groups = (uint32_t)(params->kernel_w * params->in_c) / 4;
    const int8_t *from[2];
    for (uint32_t i = 0; i < 2; i++) {
        from[i] = windows[i].image + (windows[i].y * params->in_w + windows[i].x) * params->in_c;
    }
    for (int32_t ky = 0; ky < params->kernel_h; ky++) {
        to = es_tile_pack_columns(to, from[0], from[1], groups);
        from[0] += step;
        from[1] += step;
    }
    return to;
}

/* A window to a column of bytes. */
static void copy_window(const es_conv_params_t *params, const es_window_t *window, const int8_t *pad, int8_t *column) {
    if (params->dilation_w != 1) {
        es_window_copy(params, window, pad, column);
        return;
    }
    const int32_t in_c = params->in_c;
    const int32_t row_bytes = params->kernel_w * in_c;
    const int32_t left = es_clamp(-window->x, 0, params->kernel_w) * in_c;
    const int32_t right = es_clamp(window->x + params->kernel_w - params->in_w, 0, params->kernel_w) * in_c;
    for (int32_t ky = 0; ky < params->kernel_h; ky++) {
        const int32_t y = window->y + ky * params->dilation_h;
        if (y < 0 || y >= params->in_h || left + right >= row_bytes) {
            es_copy(column, pad, row_bytes);
        } else {
            const int8_t *const row = window->image + (y * params->in_w + window->x) * in_c + left;
            es_copy(column, pad, left);
            es_copy(column + left, row, row_bytes - left - right);
            es_copy(column + row_bytes - right, pad, right);
        }
        column += row_bytes;
    }
}

/* A band of `positions` windows to packed columns. */
static void pack_band(const es_conv_params_t *params, const layout_t *layout, es_window_t *next, uint32_t positions,
                      uint32_t *to, const int8_t *pad, int8_t *bytes) {
    const bool words = params->kernel_w * params->in_c % 4 == 0 && (params->dilation_w == 1 || params->kernel_w == 1);
    while (positions != 0) {
        es_window_t windows[2] = {*next, *next};
        es_window_next(params, next);
        positions--;
        if (positions != 0) {
            windows[1] = *next;
            es_window_next(params, next);
            positions--;
        }
        if (words && is_inside(params, &windows[0]) && is_inside(params, &windows[1])) {
            to = pack_inside(params, windows, to);
            continue;
        }
        copy_window(params, &windows[0], pad, bytes);
        copy_window(params, &windows[1], pad, bytes + layout->padded);
        to = es_tile_pack_columns(to, bytes, bytes + layout->padded, layout->padded / 4);
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
            copy_window(params, &window, pad, bytes);
            es_window_next(params, &window);
            es_dense_pack_one(packed, bytes, layout.count);
            es_dense_rows_one(&dense, packed, output);
        } else {
            pack_band(params, &layout, &window, columns, packed, pad, bytes);
            es_dense_rows_band(&dense, packed, columns, output);
        }
        output += columns * dense.rows;
        left -= columns;
    }
}
