#include "es_delta8_rows.h"
#include "es_kernels.h"
#include "es_size.h"
#include "es_window.h"

/* Scratch: four interleaved columns of int16, columns of bytes (four where in_c is no multiple of 4, one for a single
 * last position otherwise), the zero points.
 */
typedef struct {
    uint32_t columns;
    uint32_t interleaved_bytes;
    uint32_t column_bytes;
    uint32_t columns_bytes;
    uint32_t pad_bytes;
} layout_t;

static layout_t layout_of(const es_conv_params_t *params) {
    layout_t layout;
    const uint32_t in_c = (uint32_t)params->in_c;
    layout.columns = es_size_mul(es_size_mul((uint32_t)params->kernel_h, (uint32_t)params->kernel_w), in_c);
    layout.interleaved_bytes = es_size_mul(layout.columns, 8);
    layout.column_bytes = es_size_round4(layout.columns);
    layout.columns_bytes = es_size_mul(layout.column_bytes, in_c % 4 == 0 ? 1 : 4);
    layout.pad_bytes = es_size_round4(es_size_mul((uint32_t)params->kernel_w, in_c));
    return layout;
}

uint32_t es_conv_2d_delta8_s8_get_buffer_size(const es_conv_params_t *params) {
    const layout_t layout = layout_of(params);
    return es_size_add(layout.interleaved_bytes, es_size_add(layout.columns_bytes, layout.pad_bytes));
}

/* Four windows to interleaved columns, straight from the image: only where in_c is a multiple of 4. */
static void interleave_taps(const es_conv_params_t *params, const es_window_t windows[4], const int8_t *pad,
                            uint32_t *to) {
    int32_t taps;
    for (int32_t ky = 0; ky < params->kernel_h; ky++) {
        for (int32_t kx = 0; kx < params->kernel_w; kx += taps) {
            const int8_t *from[4];
            taps = params->kernel_w;
            for (int32_t i = 0; i < 4; i++) {
                int32_t run;
                from[i] = es_window_run(params, &windows[i], ky, kx, pad, &run);
                taps = run < taps ? run : taps;
            }
            to = es_delta8_interleave(to, from, (uint32_t)(taps * params->in_c));
        }
    }
}

/* Four windows to interleaved columns by way of columns of bytes. */
static void interleave_columns(const es_conv_params_t *params, const es_window_t windows[4], const int8_t *pad,
                               const layout_t *layout, int8_t *columns, uint32_t *to) {
    const int8_t *from[4];
    for (int32_t i = 0; i < 4; i++) {
        es_window_copy(params, &windows[i], pad, columns);
        from[i] = columns;
        columns += layout->column_bytes;
    }
    es_delta8_interleave(to, from, layout->columns);
}

void es_conv_2d_delta8_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                          const es_channel_t *channels, int8_t *output, void *scratch) {
    const layout_t layout = layout_of(params);
    const es_delta8_rows_t sparse = {weights, channels, (uint32_t)params->out_c,
                                     es_output(params->out_zero_point, params->act_min, params->act_max)};
    uint32_t positions = (uint32_t)(params->batches * params->out_h * params->out_w);
    uint32_t *const interleaved = scratch;
    if (es_window_is_pixel(params)) {
        es_delta8_rows_vectors(&sparse, input, layout.columns, positions, output, interleaved);
        return;
    }
    int8_t *const columns = (int8_t *)scratch + layout.interleaved_bytes;
    int8_t *const pad = columns + layout.columns_bytes;
    es_fill(pad, params->in_zero_point, layout.pad_bytes);

    es_window_t window = es_window_first(params, input);
    while (positions >= 2) {
        const uint32_t count = positions >= 4 ? 4 : positions;
        es_window_t windows[4];
        for (uint32_t i = 0; i < 4; i++) {
            windows[i] = i < count ? window : windows[0]; /* the first once more where none is left: dropped */
            if (i < count) {
                es_window_next(params, &window);
            }
        }
        if (params->in_c % 4 == 0) {
            interleave_taps(params, windows, pad, interleaved);
        } else {
            interleave_columns(params, windows, pad, &layout, columns, interleaved);
        }
        es_delta8_rows_four(&sparse, interleaved, count, output);
        output += count * sparse.rows;
        positions -= count;
    }
    if (positions != 0) {
        es_window_copy(params, &window, pad, columns);
        es_delta8_rows_one(&sparse, columns, output);
    }
}
