#include <string.h>

#include "es_kernels.h"
#include "es_port.h"
#include "es_tables.h"

void es_exec_reset(const es_model_t *model, uint8_t *arena) {
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const es_tensor_t *t = &model->tensors[i];
        if (t->place == ES_PLACE_persistent) {
            memcpy(es_tensor_bytes(t, arena), model->data + t->reset_off, t->bytes);
        }
    }
}

/* Elements of a node's int8 outputs that equal their zero point. */
static uint32_t count_zeros(const es_model_t *model, const es_node_t *node, const uint8_t *arena) {
    uint32_t zeros = 0;
    for (uint32_t i = 0; i < node->output_count; i++) {
        const es_tensor_t *t = es_node_output(model, node, i);
        if (t->type == ES_TYPE_int8) {
            zeros += es_count_equal_s8((const int8_t *)(arena + t->offset), t->bytes, t->zero_point);
        }
    }
    return zeros;
}

/* One tensor, or two that share their bytes, as behind a RESHAPE. */
static bool is_same_data(const es_tensor_t *a, const es_tensor_t *b) {
    return a->offset == b->offset && a->bytes == b->bytes && a->type == b->type && a->zero_point == b->zero_point;
}

uint32_t es_node_input_zeros(const es_model_t *model, const es_node_run_t *run) {
    const es_tensor_t *input = es_node_input(model, &model->nodes[run->node], 0);
    if (!run->with_zeros || input->place == ES_PLACE_constant) {
        return ES_ZEROS_UNKNOWN;
    }
    for (uint32_t i = run->node; i > 0; i--) {
        const es_node_t *before = &model->nodes[i - 1];
        for (uint32_t o = 0; o < before->output_count; o++) {
            if (is_same_data(es_node_output(model, before, o), input)) {
                return before->output_count == 1 ? run->profile->zeros[i - 1] : ES_ZEROS_UNKNOWN;
            }
        }
    }
    return ES_ZEROS_UNKNOWN;
}

void es_exec_run(es_model_t *model, uint8_t *arena, es_profile_t *profile, bool with_zeros, es_exec_hook_t *hook,
                 void *context) {
    uint64_t before = 0;
    es_port_ticks_start();
    for (uint32_t i = 0; i < model->node_count; i++) {
        const es_node_t *node = &model->nodes[i];
        es_node_run_t run = {profile, i, with_zeros, model->macs_done[i]};
        es_op_find(node->op)->run(model, node, es_kernel_find(node->kernel), arena, &run);
        model->macs_done[i] = run.macs_done;
        profile->zeros[i] = with_zeros ? count_zeros(model, node, arena) : 0;
        if (hook != NULL) {
            hook(context, i);
        }
        const uint64_t now = es_port_ticks();
        profile->count[i] = hook == NULL ? now - before : 0;
        before = now;
    }
    profile->total_count = hook == NULL ? es_port_ticks() : 0;
}
