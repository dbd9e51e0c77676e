#include "es_op_checks.h"

#include <string.h>

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

bool es_all_up_to(const void *params, uint32_t offset, uint32_t count, int32_t most) {
    const int32_t *fields = params;
    fields += offset / sizeof(int32_t);
    bool all = true;
    for (uint32_t i = 0; i < count; i++) {
        all = all && es_between(fields[i], 1, most);
    }
    return all;
}

static bool is_shape(const es_tensor_t *tensor, const int32_t shape[4]) {
    static_assert(sizeof(tensor->dims[0]) == sizeof(shape[0]), "positive extents have the same bytes in both");
    return tensor->rank == 4 && memcmp(tensor->dims, shape, 4 * sizeof(shape[0])) == 0;
}

/* Tensors have no dimension of 0 or above ES_MAX_DIM: of channels, their shape says that already. */
es_status_t es_check_images(const es_model_t *model, const es_node_t *node, const void *params, int32_t out_c) {
    const es_images_t *p = params;
    const int32_t in_shape[4] = {p->batches, p->in_h, p->in_w, p->in_c};
    const int32_t out_shape[4] = {p->batches, p->out_h, p->out_w, out_c};
    ES_TRY(es_check_int8_nodes(model, node, 1));
    const bool extents = es_all_up_to(p, offsetof(es_images_t, batches), 3, ES_MAX_EXTENT) &&
                         es_all_up_to(p, offsetof(es_images_t, out_h), 2, ES_MAX_EXTENT);
    const bool shapes =
        is_shape(es_node_input(model, node, 0), in_shape) && is_shape(es_node_output(model, node, 0), out_shape);
    return extents && shapes ? ES_STATUS_ok : ES_STATUS_bad_params;
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
