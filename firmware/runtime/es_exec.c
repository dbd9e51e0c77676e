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

/* Applies the thresholds of a node's outputs, and counts their elements that equal their zero point. */
static void finish_outputs(const es_model_t *model, const es_node_t *node, uint8_t *arena, es_profile_t *profile,
                           uint32_t index, bool with_zeros) {
    uint32_t zeros = 0, thresholded = 0;
    for (uint32_t i = 0; i < node->output_count; i++) {
        const es_tensor_t *t = es_node_output(model, node, i);
        int8_t *data = (int8_t *)(arena + t->offset);
        if (t->threshold != 0) {
            uint32_t set_to_zero;
            zeros += es_threshold_s8(data, t->bytes, t->zero_point, t->threshold, &set_to_zero);
            thresholded += set_to_zero;
        } else if (with_zeros && t->type == ES_TYPE_int8) {
            zeros += es_count_equal_s8(data, t->bytes, t->zero_point);
        }
    }
    profile->zeros[index] = with_zeros ? zeros : 0;
    profile->thresholded[index] = with_zeros ? thresholded : 0;
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
        finish_outputs(model, node, arena, profile, i, with_zeros);
        if (hook != NULL) {
            hook(context, i);
        }
        const uint64_t now = es_port_ticks();
        profile->count[i] = hook == NULL ? now - before : 0;
        before = now;
    }
    profile->total_count = hook == NULL ? es_port_ticks() : 0;
}
