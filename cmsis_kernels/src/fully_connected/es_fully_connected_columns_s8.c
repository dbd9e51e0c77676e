#include "es_kernels.h"
#include "es_size.h"
#include "es_skip.h"

enum {
    COLUMN_BYTES = 8,
    PIECE = 128 /* entries: 128 * 255 * 255 = 8323200 < 2^23 */
};

uint32_t es_fully_connected_columns_s8_get_buffer_size(const es_fc_params_t *params) {
    return es_size_round4(es_size_mul((uint32_t)params->in_c, 4));
}

/* 128 for each of the factors: what rows whose weights are stored plus 128 have too much. */
static uint32_t excess_of(const uint32_t *list, const uint32_t *end) {
    uint32_t sum = 0;
    for (; list != end; list++) {
        sum += (uint32_t)((int32_t)(*list << 21) >> 21);
    }
    return sum * 128;
}

/* The sums of eight rows over the entries of a list, added to `sums`. */
static void add_block(const uint32_t *list, const uint32_t *end, const uint8_t *bytes, uint32_t excess,
                      int32_t sums[ES_SKIP_ROWS]) {
    while (list != end) {
        const uint32_t *const next = end - list > PIECE ? list + PIECE : end;
        int64_t acc[ES_LISTS_WORDS] = {0, 0, 0, 0};
        bytes = es_lists_add_bytes(list, next, bytes, acc);
        es_skip_add_lanes(acc, sums);
        list = next;
    }
    for (uint32_t i = 0; i < ES_SKIP_ROWS; i += 2) {
        sums[i] = (int32_t)((uint32_t)sums[i] - excess);
    }
}

void es_fully_connected_columns_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                   const es_channel_t *channels, int8_t *output, void *scratch, es_skip_t *skip) {
    const uint32_t columns = (uint32_t)params->in_c;
    const uint32_t rows = (uint32_t)params->out_c;
    const es_output_t out = es_output(params->out_zero_point, params->act_min, params->act_max);
    uint32_t *const list = scratch;
    skip->products = 0;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        uint32_t position = 0;
        const uint32_t *const end = es_skip_list_vector(list, input, columns, skip->in_zero_point, &position);
        const uint32_t excess = excess_of(list, end);
        const uint8_t *bytes = weights;
        for (uint32_t row = 0; row < rows; bytes += columns * COLUMN_BYTES) {
            int32_t sums[ES_SKIP_ROWS] = {0, 0, 0, 0, 0, 0, 0, 0};
            add_block(list, end, bytes, excess, sums);
            for (uint32_t i = 0; i < ES_SKIP_ROWS && row < rows; i++, row++) {
                const uint32_t acc = (uint32_t)channels[row].bias + (uint32_t)sums[i];
                *output++ = es_requantize((int32_t)acc, &channels[row], &out);
            }
        }
        skip->products += (uint64_t)(uint32_t)(end - list) * rows;
        input += columns;
    }
}
