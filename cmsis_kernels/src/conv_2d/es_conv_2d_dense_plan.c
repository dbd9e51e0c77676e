#include "es_conv_2d_dense.h"

/* Narrower strips of an odd width waste too much on the column that their last pair lacks. */
enum {
    ODD_WIDTH_LEAST = 9
};

/* Steps between neighbouring outputs in the packed input: a filter one row high, or one column wide, skips what lies
 * between, and it is not packed.
 */
static uint32_t packed_step(int32_t kernel, int32_t stride) { return kernel == 1 ? 1 : (uint32_t)stride; }

es_dense_strip_t es_dense_strip(const es_conv_params_t *params, uint32_t lines, uint32_t columns) {
    const uint32_t pixel_groups = (uint32_t)params->in_c / 4;
    const uint32_t step_h = packed_step(params->kernel_h, params->stride_h);
    const uint32_t step_w = packed_step(params->kernel_w, params->stride_w);
    const uint32_t kernel_w = (uint32_t)params->kernel_w;
    const uint32_t reach = es_size_mul((uint32_t)params->kernel_h - 1, (uint32_t)params->dilation_h);
    const uint32_t half = columns / 2 + columns % 2;
    es_dense_strip_t strip;
    strip.pixels = es_size_add(es_size_mul(half - 1, step_w), kernel_w);
    strip.in_lines = es_size_add(es_size_mul(lines - 1, step_h), es_size_add(reach, 1));
    strip.line_groups = es_size_mul(strip.pixels, pixel_groups);
    strip.band.walk = (es_tile_walk_t){(uint32_t)params->kernel_h, es_size_mul(kernel_w, pixel_groups),
                                       (uint32_t)params->dilation_h * strip.line_groups, step_w * pixel_groups};
    strip.band.lines = lines;
    strip.band.columns = columns;
    strip.band.second = half;
    strip.band.line_groups = step_h * strip.line_groups;
    strip.band.pitch = (uint32_t)params->out_w;
    return strip;
}

/* A strip of about `band` outputs: part of a line, or whole lines. */
static void plan_strips(const es_conv_params_t *params, es_dense_plan_t *plan) {
    const uint32_t width = (uint32_t)params->out_w;
    const uint32_t share = es_dense_share(width, params->band);
    plan->columns = share < width ? share + share % 2 : width;
    const uint32_t most = plan->columns == width && width != 0 ? params->band / width : 1;
    plan->lines = es_dense_share((uint32_t)params->out_h, most == 0 ? 1 : most);
    const bool fits = params->in_c % 4 == 0 && (params->dilation_w == 1 || params->kernel_w == 1);
    if (fits && (plan->columns % 2 == 0 || plan->columns >= ODD_WIDTH_LEAST)) {
        plan->kind = ES_DENSE_STRIPS;
    }
}

es_dense_plan_t es_dense_plan(const es_conv_params_t *params) {
    const uint32_t in_c = (uint32_t)params->in_c;
    const uint32_t out_c = (uint32_t)params->out_c;
    es_dense_plan_t plan = {.kind = ES_DENSE_WINDOWS};
    plan.count = es_size_mul(es_size_mul((uint32_t)params->kernel_h, (uint32_t)params->kernel_w), in_c);
    plan.groups = es_size_round4(plan.count) / 4;
    plan.positions =
        es_size_mul(es_size_mul((uint32_t)params->out_h, (uint32_t)params->out_w), (uint32_t)params->batches);
    if (es_window_is_pixel(params)) {
        plan.kind = ES_DENSE_VECTORS;
        plan.packed_bytes = es_dense_vectors_bytes(out_c, plan.count, plan.positions, params->band);
        return plan;
    }
    plan.pad_bytes = es_size_round4(es_size_mul((uint32_t)params->kernel_w, in_c));
    plan_strips(params, &plan);
    if (plan.kind == ES_DENSE_STRIPS && es_dense_pays(out_c, es_size_mul(plan.lines, plan.columns))) {
        const es_dense_strip_t strip = es_dense_strip(params, plan.lines, plan.columns);
        const uint32_t input_bytes = es_size_mul(es_size_mul(strip.in_lines, strip.line_groups), ES_TILE_GROUP_BYTES);
        plan.packed_bytes = es_size_add(input_bytes, es_tile_rows_bytes(&strip.band.walk));
        return plan;
    }
    plan.lines = 1;
    plan.columns = es_dense_share(plan.positions, params->band);
    plan.kind = es_dense_pays(out_c, plan.columns) ? ES_DENSE_WINDOWS : ES_DENSE_SINGLES;
    if (plan.kind == ES_DENSE_WINDOWS) {
        plan.packed_bytes = es_dense_scratch_bytes(plan.groups, plan.columns);
        plan.column_bytes = es_size_mul(plan.groups, 8);
    } else {
        plan.packed_bytes = es_size_mul(plan.groups, ES_DOT_GROUP_BYTES);
        plan.column_bytes = es_size_mul(plan.groups, 4);
    }
    return plan;
}
