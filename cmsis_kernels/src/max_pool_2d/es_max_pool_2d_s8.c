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

/* output = the greater of output and the pixel, channel by channel. */
static void take_greater(const int8_t *pixel, int32_t channels, int8_t *output) {
    for (int32_t c = 0; c < channels; c++) {
        output[c] = pixel[c] > output[c] ? pixel[c] : output[c];
    }
}

/* All channels of one output position. */
static void pool(const es_pool_params_t *params, const int8_t *image, span_t rows, span_t columns, int8_t *output) {
    const int32_t channels = params->channels;
    for (int32_t c = 0; c < channels; c++) {
        output[c] = (int8_t)params->act_min;
    }
    for (int32_t y = rows.first; y < rows.end; y++) {
        const int8_t *pixel = image + (y * params->in_w + columns.first) * channels;
        for (int32_t x = columns.first; x < columns.end; x++) {
            take_greater(pixel, channels, output);
            pixel += channels;
        }
    }
    if (params->act_max < 127) {
        for (int32_t c = 0; c < channels; c++) {
            output[c] = (int8_t)es_clamp(output[c], params->act_min, params->act_max);
        }
    }
}

uint32_t es_max_pool_2d_s8_get_buffer_size(const es_pool_params_t *params) {
    (void)params;
    return 0;
}

void es_max_pool_2d_s8(const es_pool_params_t *params, const int8_t *input, int8_t *output) {
    for (int32_t batch = 0; batch < params->batches; batch++) {
        for (int32_t oy = 0; oy < params->out_h; oy++) {
            const span_t rows = span_of(oy * params->stride_h - params->pad_top, params->kernel_h, params->in_h);
            for (int32_t ox = 0; ox < params->out_w; ox++) {
                const span_t columns =
                    span_of(ox * params->stride_w - params->pad_left, params->kernel_w, params->in_w);
                pool(params, input, rows, columns, output);
                output += params->channels;
            }
        }
        input += params->in_h * params->in_w * params->channels;
    }
}
