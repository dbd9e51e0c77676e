#include "es_depthwise_strip.h"
#include "es_kernels.h"
#include "es_size.h"

/* A strip is as many output rows as have their widened input in STRIP_BYTES, at least one. Input rows that two strips
 * need are widened twice.
 */
enum {
    STRIP_BYTES = 4096
};

/* A column of pixels lies in memory just as a row does, and rows are what the inner loops are good at. */
static void turn(es_conv_params_t *p) {
    if (p->in_w != 1 || p->out_w != 1 || p->kernel_w != 1 || p->pad_left != 0) {
        return;
    }
    p->in_w = p->in_h, p->in_h = 1;
    p->out_w = p->out_h, p->out_h = 1;
    p->kernel_w = p->kernel_h, p->kernel_h = 1;
    p->stride_w = p->stride_h, p->stride_h = 1;
    p->dilation_w = p->dilation_h, p->dilation_h = 1;
    p->pad_left = p->pad_top, p->pad_top = 0;
}

static es_depthwise_plan_t plan_of(const es_conv_params_t *params) {
    es_depthwise_plan_t plan = {.params = *params};
    es_conv_params_t *const p = &plan.params;
    turn(p);
    plan.lanes = p->in_c % 4 == 0 ? 4 : 1;
    plan.multiplier = p->in_c > 0 ? (uint32_t)p->out_c / (uint32_t)p->in_c : 0;
    plan.width = es_size_add(es_size_mul((uint32_t)p->kernel_w - 1, (uint32_t)p->dilation_w), 1);
    plan.height = es_size_add(es_size_mul((uint32_t)p->kernel_h - 1, (uint32_t)p->dilation_h), 1);
    plan.pairs = plan.width / 2 + plan.width % 2;
    plan.filter = es_size_mul(plan.height, plan.pairs);
    /* One word more: two outputs at a time read the columns of a last one that may not be there. */
    const uint32_t steps = es_size_mul((uint32_t)p->out_w - 1, (uint32_t)p->stride_w);
    plan.pitch = es_size_round4(es_size_add(steps, es_size_mul(plan.pairs + 1, 2)));

    const uint32_t row_bytes = es_size_mul(plan.lanes, es_size_mul(plan.pitch, 2));
    const uint32_t rows = row_bytes > STRIP_BYTES ? 0 : STRIP_BYTES / row_bytes;
    const uint32_t stride = p->stride_h > 0 ? (uint32_t)p->stride_h : 1; /* sizes are asked for unchecked params too */
    const uint32_t more = rows <= plan.height ? 0 : (rows - plan.height) / stride;
    plan.strip = more < (uint32_t)p->out_h ? more + 1 : (uint32_t)p->out_h;
    const uint32_t in_rows = es_size_add(plan.height, es_size_mul(plan.strip - 1, stride));
    plan.plane = es_size_mul(in_rows, plan.pitch);
    return plan;
}

uint32_t es_depthwise_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params) {
    const es_depthwise_plan_t plan = plan_of(params);
    const uint32_t filters_bytes = es_size_mul(plan.multiplier, es_size_mul(plan.filter, 4));
    return es_size_mul(plan.lanes, es_size_add(es_size_mul(plan.plane, 2), filters_bytes));
}

/* A strip of all output channels of `lanes` input channels. */
static void make_channels(es_depthwise_strip_t strip, int8_t *output) {
    const es_depthwise_plan_t *const plan = strip.plan;
    for (uint32_t lane = 0; lane < plan->lanes; lane++) {
        for (uint32_t i = 0; i < plan->multiplier; i++) {
            es_depthwise_make_strip(&strip, output);
            strip.filter += plan->filter;
            strip.channel++;
            output++;
        }
        strip.plane += plan->plane;
    }
}

void es_depthwise_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                                   const es_channel_t *channels, int8_t *output, void *scratch) {
    const es_depthwise_plan_t plan = plan_of(params);
    const es_conv_params_t *const p = &plan.params;
    const es_output_t out = es_output(p->out_zero_point, p->act_min, p->act_max);
    const uint32_t count = plan.lanes * plan.multiplier;
    uint32_t *const filters = scratch;
    int16_t *const planes = (int16_t *)(void *)(filters + count * plan.filter);
    es_depthwise_fill((int16_t *)(void *)filters, 0, count * plan.filter * 2);
    es_depthwise_fill(planes, p->in_zero_point, plan.lanes * plan.plane);
    for (uint32_t first = 0; first < (uint32_t)p->out_c; first += count) {
        const int8_t *image = input + first / plan.multiplier;
        int8_t *to = output + first;
        es_depthwise_widen_filters(&plan, (const int8_t *)weights, first, count, (int16_t *)(void *)filters);
        for (int32_t batch = 0; batch < p->batches; batch++) {
            uint32_t left = (uint32_t)p->out_h;
            int32_t top = -p->pad_top;
            while (left != 0) {
                const uint32_t rows = left < plan.strip ? left : plan.strip;
                const uint32_t in_rows = (rows - 1) * (uint32_t)p->stride_h + plan.height;
                for (uint32_t i = 0; i < in_rows; i++) {
                    es_depthwise_widen_row(&plan, image, top + (int32_t)i, planes + i * plan.pitch);
                }
                make_channels((es_depthwise_strip_t){&plan, &out, planes, filters, channels + first, rows}, to);
                top += (int32_t)rows * p->stride_h;
                to += rows * (uint32_t)(p->out_w * p->out_c);
                left -= rows;
            }
            image += p->in_h * p->in_w * p->in_c;
        }
    }
}
