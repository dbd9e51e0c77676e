#include "es_intrin_squares.h"
#include "es_kernels.h"
#include "es_requant.h"
#include "es_size.h"

uint32_t es_fully_connected_squares_s8_get_buffer_size(const es_fc_params_t *params) {
    return es_size_mul(es_size_round4((uint32_t)params->in_c), 4);
}

/* Lists a vector and adds it up. Returns the list's end. */
static uint32_t *list_vector(uint32_t *list, const int8_t *from, uint32_t count, int32_t zero_point, int32_t *sum) {
    uint32_t step = 0;
    uint32_t *to = es_squares_list(list, from, count / 4, zero_point, sum, &step);
    if (count % 4 != 0) {
        int8_t rest[4];
        for (uint32_t i = 0; i < 4; i++) {
            rest[i] = (int8_t)(i < count % 4 ? from[(count & ~3U) + i] : zero_point);
        }
        to = es_squares_list(to, rest, 1, zero_point, sum, &step);
    }
    if ((to - list) % 4 != 0) { /* an entry that adds nothing */
        es_store_pair(to, 8, 0U, 0U);
    }
    return to;
}

/* What a list is multiplied by: `count` rows, a block or less. */
typedef struct {
    const uint8_t *weights;
    const es_channel_t *channels;
    uint32_t count;
} rows_t;

static void add_products(const es_squares_list_t *list, const rows_t *rows, int32_t sums[ES_SQUARES_ROWS]) {
    const uint32_t pairs = (rows->count + 1) / 2;
    if (pairs == ES_SQUARES_PAIRS) {
        es_squares_add_block(list, rows->weights, sums);
        return;
    }
    if (pairs >= 2) {
        es_squares_add_rows(list, rows->weights, pairs, 2, sums);
    }
    if (pairs % 2 != 0) {
        es_squares_add_rows(list, rows->weights + 4 * (pairs - 1), pairs, 1, sums + pairs - 1);
    }
}

/* Outputs of a list; rows 0 have `excess` too much. */
static void make_rows(const es_squares_list_t *list, uint32_t excess, const rows_t *rows, const es_output_t *out,
                      int8_t *output) {
    int32_t sums[ES_SQUARES_ROWS];
    const es_channel_t *const channels_end = rows->channels + rows->count;
    const es_channel_t *channel = rows->channels;
    for (int32_t *to = sums; channel < channels_end; to++) {
        to[0] = (int32_t)((uint32_t)channel[0].bias - excess);
        to[ES_SQUARES_PAIRS] = channel + 1 < channels_end ? channel[1].bias : 0;
        channel += 2;
    }
    add_products(list, rows, sums);
    channel = rows->channels;
    for (const int32_t *from = sums; channel < channels_end; from++) {
        *output++ = es_requantize(from[0], &channel[0], out);
        if (channel + 1 < channels_end) {
            *output++ = es_requantize(from[ES_SQUARES_PAIRS], &channel[1], out);
        }
        channel += 2;
    }
}

void es_fully_connected_squares_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                   const es_channel_t *channels, int8_t *output, void *scratch, es_skip_t *skip) {
    const uint32_t columns = (uint32_t)params->in_c;
    const uint32_t rows = (uint32_t)params->out_c;
    const uint32_t batches = (uint32_t)params->batches;
    const uint32_t block_bytes = es_size_round4(columns) * ES_SQUARES_ROWS;
    const es_output_t out = es_output(params->out_zero_point, params->act_min, params->act_max);
    const uint32_t zeros = skip->input_zeros != ES_ZEROS_UNKNOWN
                               ? skip->input_zeros
                               : es_count_equal_s8(input, columns * batches, skip->in_zero_point);
    const uint32_t inputs = columns * batches - zeros;
    skip->products = (uint64_t)inputs * rows;
    for (uint32_t batch = 0; batch < batches; batch++) {
        int32_t sum = 0;
        const uint32_t *const end = list_vector(scratch, input, columns, skip->in_zero_point, &sum);
        const es_squares_list_t list = es_squares_list_of(scratch, end, inputs / batches);
        rows_t block = {weights, channels, 0};
        for (uint32_t left = rows; left != 0; left -= block.count) {
            block.count = left < ES_SQUARES_ROWS ? left : ES_SQUARES_ROWS;
            make_rows(&list, 128U * (uint32_t)sum, &block, &out, output);
            block.weights += block_bytes;
            block.channels += block.count;
            output += block.count;
        }
        input += columns;
    }
}
