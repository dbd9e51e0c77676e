#include "es_kernels.h"
#include "es_size.h"
#include "es_skip.h"

uint32_t es_fully_connected_pairs_s8_get_buffer_size(const es_fc_params_t *params) {
    return es_size_round4(es_size_mul((uint32_t)params->in_c, 4));
}

void es_fully_connected_pairs_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                 const es_channel_t *channels, int8_t *output, void *scratch, es_skip_t *skip) {
    const uint32_t columns = (uint32_t)params->in_c;
    const uint32_t rows = (uint32_t)params->out_c;
    const uint32_t block_bytes = columns * ES_SKIP_WORD_BYTES;
    const uint32_t limit = es_load_u32(weights + (rows + ES_SKIP_ROWS - 1) / ES_SKIP_ROWS * block_bytes);
    skip->products = 0;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        uint32_t position = 0;
        es_lists_span_t span = {scratch, weights,
                                es_skip_list_vector(scratch, input, columns, skip->in_zero_point, &position)};
        es_skip_block_t block = {.out = es_output(params->out_zero_point, params->act_min, params->act_max)};
        for (uint32_t first = 0; first < rows; first += ES_SKIP_ROWS) {
            es_skip_block_open(&block, channels, first, rows);
            es_skip_span(&block, &span, limit, output);
            span.base += block_bytes;
            output += block.rows;
        }
        skip->products += (uint64_t)(uint32_t)(span.end - span.first) * rows;
        input += columns;
    }
}
