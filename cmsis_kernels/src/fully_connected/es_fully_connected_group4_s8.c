#include "es_group4_rows.h"
#include "es_kernels.h"
#include "es_size.h"

uint32_t es_fully_connected_group4_s8_get_buffer_size(const es_fc_params_t *params) {
    const uint32_t columns = (uint32_t)params->in_c;
    return params->batches >= 2 ? es_size_add(es_group4_tiles_bytes(columns, 1), es_group4_entries_bytes(columns)) : 0;
}

void es_fully_connected_group4_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                  const es_channel_t *channels, int8_t *output, void *scratch) {
    const uint32_t columns = (uint32_t)params->in_c;
    const es_group4_rows_t sparse = {.weights = weights,
                                     .channels = channels,
                                     .rows = (uint32_t)params->out_c,
                                     .columns = columns,
                                     .out = es_output(params->out_zero_point, params->act_min, params->act_max)};
    uint32_t vectors = (uint32_t)params->batches;
    if (vectors == 1) {
        es_group4_rows_one(&sparse, input, output);
        return;
    }
    es_group4_entry_t *const entries = (void *)((uint8_t *)scratch + es_group4_tiles_bytes(columns, 1));
    while (vectors != 0) {
        const uint32_t count = vectors < 4 ? vectors : 4;
        es_group4_pack_vectors(input, columns, count, scratch);
        es_group4_rows_tiles(&sparse, scratch, count, entries, output);
        input += count * columns;
        output += count * sparse.rows;
        vectors -= count;
    }
}
