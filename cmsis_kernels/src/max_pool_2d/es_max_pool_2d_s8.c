#include "es_kernels.h"
#include "es_requant.h"

/* Where a window begins and ends inside the image, along one axis. */
typedef struct {
    int32_t first, end;
} span_t;

static span_t span_of(int32_t start, int32_t kernel, int32_t in) {
    const span_t span = {start < 0 ? 0 : start, in - start < kernel ? in : start + kernel};
    return span;
}

/* The taps of one window that are inside the image. */
typedef struct {
    const int8_t *first;
    int32_t rows, columns;
    int32_t pixel_bytes, row_bytes;
} taps_t;

/* Four channels at once. */
static uint32_t greatest_of_four(const taps_t *taps) {
    uint32_t greatest = 0x80808080U;
    for (int32_t y = 0; y < taps->rows; y++) {
        const int8_t *a = taps->first + y * taps->row_bytes;
        for (int32_t left = taps->columns; left > 0; left--) {
            greatest = es_max8(greatest, es_read_u32(a));
            a += taps->pixel_bytes;
        }
    }
    return greatest;
}

static int32_t greatest_of_one(const taps_t *taps) {
    int32_t greatest = -128;
    for (int32_t y = 0; y < taps->rows; y++) {
        const int8_t *a = taps->first + y * taps->row_bytes;
        for (int32_t left = taps->columns; left > 0; left--) {
            greatest = *a > greatest ? *a : greatest;
            a += taps->pixel_bytes;
        }
    }
    return greatest;
}

/* All channels of one output position. */
static void pool(const es_pool_params_t *params, taps_t taps, int8_t *output) {
    int32_t c = 0;
    for (; c + 4 <= params->channels; c += 4) {
        es_write_u32(output + c, greatest_of_four(&taps));
        taps.first += 4;
    }
    for (; c < params->channels; c++) {
        output[c] = (int8_t)greatest_of_one(&taps);
        taps.first++;
    }
    if (params->act_min == -128 && params->act_max == 127) {
        return;
    }
    for (c = 0; c < params->channels; c++) {
        output[c] = (int8_t)es_clamp(output[c], params->act_min, params->act_max);
    }
}

uint32_t es_max_pool_2d_s8_get_buffer_size(const es_pool_params_t *params) {
    (void)params;
    return 0;
}

void es_max_pool_2d_s8(const es_pool_params_t *params, const int8_t *input, int8_t *output) {
    const int32_t row_bytes = params->in_w * params->channels;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        for (int32_t oy = 0; oy < params->out_h; oy++) {
            const span_t rows = span_of(oy * params->stride_h - params->pad_top, params->kernel_h, params->in_h);
            for (int32_t ox = 0; ox < params->out_w; ox++) {
                const span_t columns =
                    span_of(ox * params->stride_w - params->pad_left, params->kernel_w, params->in_w);
                const taps_t taps = {input + rows.first * row_bytes + columns.first * params->channels,
                                     rows.end - rows.first, columns.end - columns.first, params->channels, row_bytes};
                pool(params, taps, output);
                output += params->channels;
            }
        }
        input += params->in_h * row_bytes;
    }
}
