#include "es_kernels.h"
#include "es_pair_words.h"
#include "es_size.h"
#include "es_skip.h"

/* Weights in encoding dense_sums. */
typedef struct {
    const uint8_t *rows;
    const uint8_t *sums;
    uint32_t row_bytes;
    uint32_t limit;
    es_classes_t classes; /* of the positions */
} weights_t;

static uint32_t row_bytes_of(const es_conv_params_t *params) {
    const uint32_t taps = es_size_mul((uint32_t)params->kernel_h, (uint32_t)params->kernel_w);
    return es_size_round4(es_size_mul(taps, (uint32_t)params->in_c));
}

uint32_t es_conv_2d_lists_s8_get_buffer_size(const es_conv_params_t *params) {
    const uint32_t dense_bytes = es_conv_2d_dense_s8_get_buffer_size(params);
    const uint32_t words_bytes = es_size_round4(es_size_mul(row_bytes_of(params), ES_SKIP_WORD_BYTES));
    const uint32_t bytes = es_size_round4(es_size_add(words_bytes, es_skip_buffer_size(params)));
    return bytes > dense_bytes ? bytes : dense_bytes;
}

static bool should_list(const es_conv_params_t *params, const int8_t *input, const es_skip_t *skip) {
    const uint32_t inputs = (uint32_t)(params->batches * params->in_h * params->in_w) * (uint32_t)params->in_c;
    if (params->list_zeros == 0 || params->list_zeros > inputs || skip->input_zeros != ES_ZEROS_UNKNOWN) {
        return skip->input_zeros >= params->list_zeros && params->list_zeros <= inputs;
    }
    return es_count_equal_s8(input, inputs, params->in_zero_point) >= params->list_zeros;
}

/* Eight outputs at the positions of a band. */
static void run_block(const es_skip_lists_t *lists, const weights_t *weights, const es_channel_t *channels,
                      uint32_t first, uint32_t out_y, int8_t *output, uint32_t *words) {
    const es_conv_params_t *window = &lists->window;
    es_skip_block_t block = {.words = (const uint8_t *)words,
                             .out = es_output(window->out_zero_point, window->act_min, window->act_max),
                             .classes = weights->classes};
    es_skip_block_open(&block, channels, first, (uint32_t)window->out_c);
    for (uint32_t i = 0; i < block.rows; i++) { /* from the bias of dense weights back to the bias itself */
        const uint32_t sum = es_load_u32(weights->sums + 4 * (first + i));
        block.bias[i] = (int32_t)((uint32_t)block.bias[i] + (uint32_t)window->in_zero_point * sum);
    }
    es_skip_block_bias(&block);
    es_pair_words(words, weights->rows + first * weights->row_bytes, weights->row_bytes, block.rows,
                  weights->row_bytes / 4);
    es_skip_multiply(lists, &block, out_y, output + first);
}

void es_conv_2d_lists_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                         const es_channel_t *channels, int8_t *output, void *scratch, es_skip_t *skip) {
    if (!should_list(params, input, skip)) {
        es_conv_2d_dense_s8(params, input, weights, channels, output, scratch);
        return;
    }
    const uint32_t out_c = (uint32_t)params->out_c;
    weights_t rows = {.rows = weights, .row_bytes = row_bytes_of(params)};
    rows.sums = weights + out_c * rows.row_bytes;
    rows.limit = es_load_u32(rows.sums + 4 * out_c);
    rows.classes = es_classes_of(params, channels, output);
    uint32_t *const words = scratch;
    es_skip_lists_t lists;
    es_skip_open(&lists, params, rows.limit, words + rows.row_bytes * ES_SKIP_WORD_BYTES / 4);
    const es_conv_params_t *window = &lists.window;
    const uint32_t out_row = (uint32_t)window->out_w * out_c;
    skip->products = 0;
    for (int32_t batch = 0; batch < window->batches; batch++) {
        for (uint32_t y = 0; y < (uint32_t)window->out_h; y += lists.band_rows) {
            es_skip_list_rows(&lists, input, y);
            skip->products += (uint64_t)es_skip_count(&lists, y) * out_c;
            for (uint32_t first = 0; first < out_c; first += ES_SKIP_ROWS) {
                run_block(&lists, &rows, channels, first, y, output + y * out_row, words);
            }
        }
        input += window->in_h * window->in_w * window->in_c;
        output += (uint32_t)window->out_h * out_row;
    }
}
