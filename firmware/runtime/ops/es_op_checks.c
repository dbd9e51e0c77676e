#include "es_op_checks.h"

es_status_t es_check_int8_nodes(const es_model_t *model, const es_node_t *node, uint32_t inputs) {
    if (node->input_count != inputs || node->output_count != 1) {
        return ES_STATUS_bad_params;
    }
    for (uint32_t i = 0; i < inputs; i++) {
        if (es_node_input(model, node, i)->type != ES_TYPE_int8) {
            return ES_STATUS_bad_tensor;
        }
    }
    return es_node_output(model, node, 0)->type == ES_TYPE_int8 ? ES_STATUS_ok : ES_STATUS_bad_tensor;
}

bool es_shape_is_nhwc(const es_tensor_t *tensor, int32_t n, int32_t h, int32_t w, int32_t c) {
    return tensor->rank == 4 && tensor->dims[0] == (uint32_t)n && tensor->dims[1] == (uint32_t)h &&
           tensor->dims[2] == (uint32_t)w && tensor->dims[3] == (uint32_t)c;
}

bool es_between(int32_t value, int32_t low, int32_t high) { return value >= low && value <= high; }

bool es_activation_range_ok(int32_t min, int32_t max) { return min >= -128 && min <= max && max <= 127; }

bool es_multiplier_ok(int32_t multiplier) { return multiplier >= 0; }

es_status_t es_check_data(const es_model_t *model, uint32_t offset, uint64_t bytes, es_node_facts_t *facts) {
    if (offset % 4u != 0) {
        return ES_STATUS_bad_alignment;
    }
    if (offset > model->data_bytes || bytes > model->data_bytes - offset) {
        return ES_STATUS_bad_offset;
    }
    facts->where.section = ES_SECTION_data;
    facts->where.offset = (uint32_t)(model->data - model->image) + offset;
    return ES_STATUS_ok;
}

es_status_t es_check_channels(const es_model_t *model, uint32_t offset, uint32_t count, es_node_facts_t *facts) {
    const es_where_t node = facts->where;
    ES_TRY(es_check_data(model, offset, (uint64_t)count * sizeof(es_channel_t), facts));
    const es_channel_t *channels = (const void *)(model->data + offset);
    for (uint32_t i = 0; i < count; i++) {
        const es_channel_t *c = &channels[i];
        const bool shift_ok = c->exact == 0 ? es_between(c->shift, 1, 31) : es_between(c->shift, -31, 31);
        if (c->exact > 1 || !shift_ok || !es_multiplier_ok(c->multiplier)) {
            return ES_STATUS_bad_params;
        }
        facts->where.offset += (uint32_t)sizeof(es_channel_t);
    }
    facts->where = node;
    return ES_STATUS_ok;
}

es_status_t es_check_weights(const es_model_t *model, const es_encoding_t *encoding, uint32_t offset, uint32_t bytes,
                             uint32_t rows, uint32_t columns, es_node_facts_t *facts) {
    const es_where_t node = facts->where;
    ES_TRY(es_check_data(model, offset, bytes, facts));
    const int32_t bad = encoding->check(model->data + offset, bytes, rows, columns);
    if (bad >= 0) {
        facts->where.offset += (uint32_t)bad;
        return ES_STATUS_bad_weights;
    }
    facts->where = node;
    return ES_STATUS_ok;
}
