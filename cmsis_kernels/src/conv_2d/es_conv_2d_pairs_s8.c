#include "es_kernels.h"
#include "es_size.h"
#include "es_skip.h"

uint32_t es_conv_2d_pairs_s8_get_buffer_size(const es_conv_params_t *params) { return es_skip_buffer_size(params); }

void es_conv_2d_pairs_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                         const es_channel_t *channels, int8_t *output, void *scratch, es_skip_t *skip) {
    const uint32_t out_c = (uint32_t)params->out_c;
    const uint32_t columns = (uint32_t)(params->kernel_h * params->kernel_w) * (uint32_t)params->in_c;
    const uint32_t block_bytes = columns * ES_SKIP_WORD_BYTES;
    const uint32_t limit = es_load_u32(weights + (out_c + ES_SKIP_ROWS - 1) / ES_SKIP_ROWS * block_bytes);
    const es_classes_t classes = es_classes_of(params, channels, output);
    es_skip_lists_t lists;
    es_skip_open(&lists, params, limit, scratch);
    const es_conv_params_t *window = &lists.window;
    const uint32_t out_row = (uint32_t)window->out_w * out_c;
    skip->products = 0;
    for (int32_t batch = 0; batch < window->batches; batch++) {
        for (uint32_t y = 0; y < (uint32_t)window->out_h; y += lists.band_rows) {
            es_skip_list_rows(&lists, input, y);
            skip->products += (uint64_t)es_skip_count(&lists, y) * out_c;
            es_skip_block_t block = {.words = weights,
                                     .out = es_output(params->out_zero_point, params->act_min, params->act_max),
                                     .classes = classes};
            for (uint32_t first = 0; first < out_c; first += ES_SKIP_ROWS) {
                es_skip_block_open(&block, channels, first, out_c);
                es_skip_multiply(&lists, &block, y, output + y * out_row + first);
                block.words += block_bytes;
            }
        }
        input += window->in_h * window->in_w * window->in_c;
        output += (uint32_t)window->out_h * out_row;
    }
}
