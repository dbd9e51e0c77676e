#include "es_kernels.h"
#include "es_op_checks.h"
#include "es_op_conv.h"
#include "es_parts.h"

/* Behind the channels: amounts for the biases of each class, and the class of each position. The bounds keep every kernel
 * with sparse weights from making positions one by one.
 */
static es_status_t check_classes(const es_model_t *model, const es_conv_params_t *p, es_node_facts_t *facts) {
    const uint32_t columns = (uint32_t)(p->kernel_h * p->kernel_w) * (uint32_t)p->in_c;
    const uint32_t positions = (uint32_t)(p->out_h * p->out_w);
    if (p->classes > ES_CLASSES_MAX || p->batches != 1 || positions < 4 || columns > ES_SKIP_ROW_INPUTS) {
        return ES_STATUS_bad_params;
    }
    const es_where_t node = facts->where;
    const uint32_t amounts_off = p->channels_off + (uint32_t)p->out_c * (uint32_t)sizeof(es_channel_t);
    const uint64_t amounts_bytes = (uint64_t)p->classes * (uint32_t)p->out_c * sizeof(int16_t);
    ES_TRY(es_check_data(model, amounts_off, amounts_bytes + positions, facts));
    const uint8_t *classes = model->data + amounts_off + amounts_bytes;
    facts->where.offset += (uint32_t)amounts_bytes;
    for (uint32_t i = 0; i < positions; i++) {
        if (classes[i] >= p->classes) {
            return ES_STATUS_bad_params;
        }
        facts->where.offset++;
    }
    facts->where = node;
    return ES_STATUS_ok;
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    const es_conv_params_t *p = es_conv_params(model, node);
    ES_TRY(es_check_conv(model, node, p));
    if (es_skips_find(kernel->id) != NULL && (int64_t)p->in_w * p->in_c > ES_SKIP_ROW_INPUTS) {
        return ES_STATUS_bad_params;
    }
    ES_TRY(es_check_conv_weights(model, p, kernel, es_conv_tap_positions, facts));
    if (p->classes != 0) {
        if (!ES_HAS_classes) {
            return ES_STATUS_left_out;
        }
        ES_TRY(check_classes(model, p, facts));
    }
    const uint32_t columns = (uint32_t)(p->kernel_h * p->kernel_w) * (uint32_t)p->in_c;
    facts->macs = (uint64_t)es_tensor_elements(es_node_output(model, node, 0)) * columns;
    return ES_STATUS_ok;
}

/* Products of dense weights and real inputs. */
static uint64_t dense_products(const es_conv_params_t *p) {
    uint64_t rows = 0, columns = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        rows += es_conv_places(p->in_h, p->out_h, p->stride_h, p->pad_top, ky * p->dilation_h);
    }
    for (int32_t kx = 0; kx < p->kernel_w; kx++) {
        columns += es_conv_places(p->in_w, p->out_w, p->stride_w, p->pad_left, kx * p->dilation_w);
    }
    return (uint64_t)(uint32_t)p->batches * rows * columns * (uint32_t)p->in_c * (uint32_t)p->out_c;
}

void es_op_conv_2d_run_skipping(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                                uint8_t *arena, es_node_run_t *state) {
    typedef void skip_fn_t(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                           const es_channel_t *channels, int8_t *output, void *scratch, es_skip_t *skip);
    const es_conv_params_t *p = es_conv_params(model, node);
    const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    const es_channel_t *channels = (const void *)(model->data + p->channels_off);
    es_skip_t skip = {es_node_input_zeros(model, state), p->in_zero_point, dense_products(p)};
    ((skip_fn_t *)kernel->run)(p, input, model->data + p->weights_off, channels, output, arena + node->scratch_off,
                               &skip);
    state->macs_done = skip.products;
}

const es_op_t es_op_conv_2d = {
    .id = ES_OP_conv_2d,
    .params_bytes = sizeof(es_conv_params_t),
    .scratch_bytes = es_conv_scratch_bytes,
    .check = check,
    .run = es_conv_run,
};
