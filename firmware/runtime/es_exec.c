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

/* Applies the thresholds of a node's int8 outputs; counts those that equal their zero point, those that a threshold made so,
 * and those at a limit that the node's flags name.
 */
static void finish_outputs(const es_model_t *model, uint32_t node_index, uint8_t *arena, uint32_t counted,
                           es_profile_t *profile) {
    const es_node_t *node = &model->nodes[node_index];
    const uint32_t limits = (counted & ES_COUNT_SATURATED) != 0 ? node->flags : 0;
    uint32_t zeros = 0;
    uint32_t thresholded = 0;
    uint32_t saturated = 0;
    for (uint32_t i = 0; i < node->output_count; i++) {
        const es_tensor_t *t = es_node_output(model, node, i);
        int8_t *data = (int8_t *)(arena + t->offset);
        es_ends_t ends = {0, 0};
        if (t->type != ES_TYPE_int8) {
            continue;
        }
        if (t->threshold != 0) {
            uint32_t set_to_zero;
            zeros += es_threshold_s8(data, t->bytes, t->zero_point, t->threshold, &set_to_zero);
            thresholded += set_to_zero;
        }
        if (limits != 0) {
            ends = es_count_ends_s8(data, t->bytes);
            saturated += (limits & ES_NODE_SATURATES_LOW) != 0 ? ends.low : 0;
            saturated += (limits & ES_NODE_SATURATES_HIGH) != 0 ? ends.high : 0;
        }
        if (t->threshold == 0 && (counted & ES_COUNT_ZEROS) != 0) {
            /* After a ReLU the zero point is an end itself, so that one pass counts both. */
            const bool is_low = limits != 0 && t->zero_point == INT8_MIN;
            zeros += is_low ? ends.low : es_count_equal_s8(data, t->bytes, t->zero_point);
        }
    }
    profile->zeros[node_index] = (counted & ES_COUNT_ZEROS) != 0 ? zeros : 0;
    profile->thresholded[node_index] = (counted & ES_COUNT_ZEROS) != 0 ? thresholded : 0;
    profile->saturated[node_index] = saturated;
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

void es_exec_run(es_model_t *model, uint8_t *arena, es_profile_t *profile, uint32_t counted, es_exec_hook_t *hook,
                 void *context) {
    uint64_t before = 0;
    uint64_t paused = 0; /* count of what came before the last call of the hook */
    es_port_ticks_start();
    for (uint32_t i = 0; i < model->node_count; i++) {
        const es_node_t *node = &model->nodes[i];
        es_node_run_t run = {profile, i, (counted & ES_COUNT_ZEROS) != 0, model->macs_done[i]};
        es_node_run_fn_t *const run_skipping = es_skips_find(node->kernel);
        es_node_run_fn_t *const run_node = run_skipping != NULL ? run_skipping : es_op_find(node->op)->run;
        run_node(model, node, es_kernel_find(node->kernel), arena, &run);
        model->macs_done[i] = run.macs_done;
        finish_outputs(model, i, arena, counted, profile);
        const uint64_t now = es_port_ticks();
        profile->count[i] = now - before;
        before = now;
        if (hook != NULL) {
            hook(context, i);
            paused += now;
            before = 0;
            es_port_ticks_start();
        }
    }
    profile->total_count = paused + es_port_ticks();
}
