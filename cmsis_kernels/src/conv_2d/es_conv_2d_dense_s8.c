#include "es_dense_rows.h"
#include "es_kernels.h"
#include "es_size.h"
#include "es_window.h"

/* Scratch: two packed columns, the zero points, and where in_c is no multiple of 4 a column of bytes. */
typedef struct {
    uint32_t columns;
    uint32_t padded; /* columns rounded up to 4 */
    uint32_t packed_bytes;
    uint32_t pad_bytes;
    uint32_t column_bytes;
} layout_t;

static layout_t layout_of(const es_conv_params_t *params) {
    layout_t layout;
    const uint32_t in_c = (uint32_t)params->in_c;
    layout.columns = es_size_mul(es_size_mul((uint32_t)params->kernel_h, (uint32_t)params->kernel_w), in_c);
    layout.padded = es_size_round4(layout.columns);
    layout.packed_bytes = es_size_mul(layout.padded, 4);
    layout.pad_bytes = es_size_round4(es_size_mul((uint32_t)params->kernel_w, in_c));
    layout.column_bytes = in_c % 4 == 0 ? 0 : layout.padded;
    return layout;
}

uint32_t es_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params) {
    const layout_t layout = layout_of(params);
    return es_size_add(layout.packed_bytes, es_size_add(layout.pad_bytes, layout.column_bytes));
}

/* One window to packed words, straight from the image: only where in_c is a multiple of 4. */
ES_INLINE void pack_taps(const es_conv_params_t *params, const es_window_t *window, const int8_t *pad, uint32_t *packed,
                         uint32_t step_bytes) {
    int32_t taps;
    for (int32_t ky = 0; ky < params->kernel_h; ky++) {
        for (int32_t kx = 0; kx < params->kernel_w; kx += taps) {
            const int8_t *const from = es_window_run(params, window, ky, kx, pad, &taps);
            packed = es_dense_pack(packed, from, (uint32_t)(taps * params->in_c) / 4, step_bytes);
        }
    }
}

/* One window to packed words, by way of a column of bytes where its taps do not end on words. */
static void pack_window(const es_conv_params_t *params, const es_window_t *window, const layout_t *layout, int8_t *pad,
                        uint32_t *packed, bool two) {
    int8_t *const column = pad + layout->pad_bytes;
    if (layout->column_bytes != 0) {
        es_window_copy(params, window, pad, column);
        if (two) {
            es_dense_pack(packed, column, layout->padded / 4, ES_DENSE_TWO);
        } else {
            es_dense_pack(packed, column, layout->padded / 4, ES_DENSE_ONE);
        }
    } else if (two) {
        pack_taps(params, window, pad, packed, ES_DENSE_TWO);
    } else {
        pack_taps(params, window, pad, packed, ES_DENSE_ONE);
    }
}

void es_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                         const es_channel_t *channels, int8_t *output, void *scratch) {
    const layout_t layout = layout_of(params);
    const es_dense_rows_t dense = {weights, channels, (uint32_t)params->out_c, layout.padded / 4,
                                   es_output(params->out_zero_point, params->act_min, params->act_max)};
    uint32_t positions = (uint32_t)(params->batches * params->out_h * params->out_w);
    uint32_t *const packed = scratch;
    if (es_window_is_pixel(params)) {
        es_dense_rows_vectors(&dense, input, layout.columns, positions, output, packed);
        return;
    }
    int8_t *const pad = (int8_t *)scratch + layout.packed_bytes;
    es_fill(pad, params->in_zero_point, layout.pad_bytes);
    es_fill(pad + layout.pad_bytes, 0, layout.column_bytes); /* the row's padding meets zeros */

    es_window_t window = es_window_first(params, input);
    for (; positions >= 2; positions -= 2) {
        pack_window(params, &window, &layout, pad, packed, true);
        es_window_next(params, &window);
        pack_window(params, &window, &layout, pad, packed + 2, true);
        es_window_next(params, &window);
        es_dense_rows_two(&dense, packed, output);
        output += 2 * dense.rows;
    }
    if (positions != 0) {
        pack_window(params, &window, &layout, pad, packed, false);
        es_dense_rows_one(&dense, packed, output);
    }
}
