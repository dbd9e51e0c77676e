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

void es_exec_run(const es_model_t *model, uint8_t *arena, es_profile_t *profile, bool with_zeros, es_exec_hook_t *hook,
                 void *context) {
    uint64_t before = 0;
    es_port_ticks_start();
    for (uint32_t i = 0; i < model->node_count; i++) {
        const es_node_t *node = &model->nodes[i];
        es_op_find(node->op)->run(model, node, es_kernel_find(node->kernel), arena);
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
