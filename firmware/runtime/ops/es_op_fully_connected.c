#include "es_kernels.h"
#include "es_op_checks.h"

typedef void fc_fn_t(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                     const es_channel_t *channels, int8_t *output, void *scratch);

typedef void skip_fn_t(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                       const es_channel_t *channels, int8_t *output, void *scratch, es_skip_t *skip);

static const es_fc_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

/* Every weight meets one real input a batch row. */
static uint32_t positions(const void *context, uint32_t group_index) {
    const es_fc_params_t *p = context;
    (void)group_index;
    return (uint32_t)p->batches;
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    const es_fc_params_t *p = params_of(model, node);
    const es_encoding_t *encoding = es_encoding_find(kernel->encoding);
    ES_TRY(es_check_int8_nodes(model, node, 1));
    const es_tensor_t *in = es_node_input(model, node, 0);
    const es_tensor_t *out = es_node_output(model, node, 0);
    const bool ranges = es_between(p->batches, 1, ES_MAX_EXTENT) && es_between(p->in_c, 1, ES_MAX_DIM) &&
                        es_between(p->out_c, 1, ES_MAX_DIM) && es_activation_range_ok(p->act_min, p->act_max);
    if (!ranges || (uint64_t)p->batches * (uint64_t)p->in_c != in->bytes ||
        (uint64_t)p->batches * (uint64_t)p->out_c != out->bytes || p->out_zero_point != out->zero_point) {
        return ES_STATUS_bad_params;
    }
    const uint32_t rows = (uint32_t)p->out_c;
    const uint32_t columns = (uint32_t)p->in_c;
    ES_TRY(es_check_channels(model, p->channels_off, rows, facts));
    ES_TRY(es_check_weights(model, encoding, p->weights_off, p->weights_bytes, rows, columns, facts));
    facts->macs = (uint64_t)out->bytes * columns;
    facts->macs_done = encoding->products(model->data + p->weights_off, rows, columns, columns, positions, p);
    return ES_STATUS_ok;
}

static uint32_t scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_fc_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

static void run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                es_node_run_t *state) {
    (void)state;
    const es_fc_params_t *p = params_of(model, node);
    const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    const es_channel_t *channels = (const void *)(model->data + p->channels_off);
    ((fc_fn_t *)kernel->run)(p, input, model->data + p->weights_off, channels, output, arena + node->scratch_off);
}

void es_op_fully_connected_run_skipping(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                                        uint8_t *arena, es_node_run_t *state) {
    const es_fc_params_t *p = params_of(model, node);
    const es_tensor_t *in = es_node_input(model, node, 0);
    const int8_t *input = (const int8_t *)es_tensor_read(model, in, arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    const es_channel_t *channels = (const void *)(model->data + p->channels_off);
    es_skip_t skip = {es_node_input_zeros(model, state), in->zero_point, state->macs_done};
    ((skip_fn_t *)kernel->run)(p, input, model->data + p->weights_off, channels, output, arena + node->scratch_off,
                               &skip);
    state->macs_done = skip.products;
}

const es_op_t es_op_fully_connected = {
    .id = ES_OP_fully_connected,
    .params_bytes = sizeof(es_fc_params_t),
    .scratch_bytes = scratch_bytes,
    .check = check,
    .run = run,
};
