#include "es_op_conv.h"

#include "es_op_checks.h"

typedef void conv_fn_t(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                       const es_channel_t *channels, int8_t *output, void *scratch);
typedef uint32_t conv_buffer_fn_t(const es_conv_params_t *params);

const es_conv_params_t *es_conv_params(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

/* With these bounds every index of the kernels stays below 2^31: extents * steps < 2^25, taps * channels <= 2^24. */
es_status_t es_check_conv(const es_model_t *model, const es_node_t *node, const es_conv_params_t *p) {
    ES_TRY(es_check_images(model, node, p, p->out_c));
    if (!es_all_up_to(p, offsetof(es_conv_params_t, kernel_h), 6, ES_MAX_STEP)) {
        return ES_STATUS_bad_params;
    }
    const bool padding = es_between(p->pad_top, 0, (p->kernel_h - 1) * p->dilation_h) &&
                         es_between(p->pad_left, 0, (p->kernel_w - 1) * p->dilation_w);
    const bool columns = (int64_t)p->kernel_h * p->kernel_w * p->in_c <= ES_MAX_DIM;
    const bool values = p->in_zero_point == es_node_input(model, node, 0)->zero_point &&
                        p->out_zero_point == es_node_output(model, node, 0)->zero_point &&
                        es_activation_range_ok(p->act_min, p->act_max);
    return padding && columns && values && p->band != 0 ? ES_STATUS_ok : ES_STATUS_bad_params;
}

uint32_t es_conv_places(int32_t reached, int32_t places, int32_t stride, int32_t pad, int32_t offset) {
    const int32_t shift = pad - offset; /* i * stride must lie in shift .. shift + reached - 1 */
    const int32_t last_reached = shift + reached - 1;
    if (last_reached < 0) {
        return 0;
    }
    const int32_t first = shift <= 0 ? 0 : (shift + stride - 1) / stride;
    const int32_t last = last_reached / stride < places - 1 ? last_reached / stride : places - 1;
    return last < first ? 0 : (uint32_t)(last - first + 1);
}

uint32_t es_conv_tap_positions(const void *conv_params, uint32_t tap) {
    const es_conv_params_t *p = conv_params;
    const int32_t kh = (int32_t)tap / p->kernel_w;
    const int32_t kw = (int32_t)tap % p->kernel_w;
    const uint32_t rows = es_conv_places(p->in_h, p->out_h, p->stride_h, p->pad_top, kh * p->dilation_h);
    const uint32_t columns = es_conv_places(p->in_w, p->out_w, p->stride_w, p->pad_left, kw * p->dilation_w);
    return (uint32_t)p->batches * rows * columns;
}

es_status_t es_check_conv_weights(const es_model_t *model, const es_conv_params_t *p, const es_kernel_t *kernel,
                                  uint32_t (*positions)(const void *conv_params, uint32_t tap),
                                  es_node_facts_t *facts) {
    const es_encoding_t *encoding = es_encoding_find(kernel->encoding);
    const uint32_t columns = (uint32_t)(p->kernel_h * p->kernel_w) * (uint32_t)p->in_c;
    const uint32_t rows = (uint32_t)p->out_c;
    ES_TRY(es_check_channels(model, p->channels_off, rows, facts));
    ES_TRY(es_check_weights(model, encoding, p->weights_off, p->weights_bytes, rows, columns, facts));
    const uint8_t *weights = model->data + p->weights_off;
    facts->macs_done = encoding->products(weights, rows, columns, (uint32_t)p->in_c, positions, p);
    return ES_STATUS_ok;
}

uint32_t es_conv_scratch_bytes(const es_kernel_t *kernel, const void *params) {
    return ((conv_buffer_fn_t *)kernel->buffer_size)(params);
}

void es_conv_run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                 es_node_run_t *state) {
    (void)state;
    const es_conv_params_t *p = es_conv_params(model, node);
    const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    const es_channel_t *channels = (const void *)(model->data + p->channels_off);
    ((conv_fn_t *)kernel->run)(p, input, model->data + p->weights_off, channels, output, arena + node->scratch_off);
}
