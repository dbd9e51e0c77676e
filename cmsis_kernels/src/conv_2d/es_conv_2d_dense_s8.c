#include "es_conv_2d_dense.h"
#include "es_kernels.h"

/* What all parts of the kernel work on. Scratch: what is packed, the zero points, columns of bytes. */
typedef struct {
    const es_conv_params_t *params;
    es_dense_plan_t plan;
    es_dense_rows_t dense;
    uint32_t *packed;
    int8_t *pad;
    int8_t *bytes;
} work_t;

uint32_t es_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params) {
    const es_dense_plan_t plan = es_dense_plan(params);
    return es_size_add(plan.packed_bytes, es_size_add(plan.pad_bytes, plan.column_bytes));
}

/* One image, strip by strip. */
static void make_strips(const work_t *work, const int8_t *image, int8_t *output) {
    const es_conv_params_t *const p = work->params;
    const es_dense_plan_t *const plan = &work->plan;
    const uint32_t height = (uint32_t)p->out_h;
    const uint32_t width = (uint32_t)p->out_w;
    for (uint32_t y = 0; y < height; y += plan->lines) {
        const uint32_t lines = height - y < plan->lines ? height - y : plan->lines;
        for (uint32_t x = 0; x < width; x += plan->columns) {
            const uint32_t columns = width - x < plan->columns ? width - x : plan->columns;
            const es_dense_strip_t strip = es_dense_strip(p, lines, columns);
            uint32_t *const rows = work->packed + (size_t)strip.in_lines * strip.line_groups * ES_TILE_PAIR_WORDS;
            es_dense_pack_strip(p, &strip, image, (int32_t)y * p->stride_h - p->pad_top,
                                (int32_t)x * p->stride_w - p->pad_left, work->pad, work->packed);
            es_dense_rows_band(&work->dense, &strip.band, work->packed, rows,
                               output + ((size_t)y * width + x) * work->dense.rows);
        }
    }
}

/* A band of windows to packed columns; returns the place behind. */
static uint32_t *pack_windows(const work_t *work, es_window_t *next, uint32_t count) {
    int8_t *const second = work->bytes + work->plan.groups * 4;
    uint32_t *to = work->packed;
    for (; count != 0; count -= count == 1 ? 1 : 2) {
        es_dense_copy_window(work->params, next, work->pad, work->bytes);
        es_window_next(work->params, next);
        if (count != 1) {
            es_dense_copy_window(work->params, next, work->pad, second);
            es_window_next(work->params, next);
        }
        to = es_dense_pack_pair(to, work->bytes, second, work->plan.groups * 4);
    }
    return to;
}

/* All images, window by window. */
static void make_windows(const work_t *work, const int8_t *input, int8_t *output) {
    const es_dense_plan_t *const plan = &work->plan;
    es_window_t next = es_window_first(work->params, input);
    for (uint32_t left = plan->positions; left != 0;) {
        const uint32_t columns = left < plan->columns ? left : plan->columns;
        const es_dense_band_t band = es_dense_band_of(plan->groups, columns);
        uint32_t *const rows = pack_windows(work, &next, columns);
        es_dense_rows_band(&work->dense, &band, work->packed, rows, output);
        output += (size_t)columns * work->dense.rows;
        left -= columns;
    }
}

static void make_singles(const work_t *work, const int8_t *input, int8_t *output) {
    es_window_t next = es_window_first(work->params, input);
    for (uint32_t left = work->plan.positions; left != 0; left--) {
        es_dense_copy_window(work->params, &next, work->pad, work->bytes);
        es_window_next(work->params, &next);
        es_dense_pack_one(work->packed, work->bytes, work->plan.count);
        es_dense_rows_one(&work->dense, work->packed, output);
        output += work->dense.rows;
    }
}

void es_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                         const es_channel_t *channels, int8_t *output, void *scratch) {
    work_t work = {.params = params, .plan = es_dense_plan(params), .packed = scratch};
    const es_dense_plan_t *const plan = &work.plan;
    work.dense = (es_dense_rows_t){weights,
                                   channels,
                                   (uint32_t)params->out_c,
                                   plan->groups,
                                   es_output(params->out_zero_point, params->act_min, params->act_max),
                                   es_classes_of(params, channels, output)};
    work.pad = (int8_t *)scratch + plan->packed_bytes;
    work.bytes = work.pad + plan->pad_bytes;
    es_fill(work.pad, params->in_zero_point, plan->pad_bytes);
    es_fill(work.bytes, 0, plan->column_bytes); /* the rows' padding meets zeros */
    if (plan->kind == ES_DENSE_VECTORS) {
        es_dense_rows_vectors(&work.dense, input, plan->count, plan->positions, params->band, output, work.packed);
    } else if (plan->kind == ES_DENSE_STRIPS) {
        for (int32_t batch = 0; batch < params->batches; batch++) {
            make_strips(&work, input, output);
            input += params->in_h * params->in_w * params->in_c;
            output += (size_t)(params->out_h * params->out_w) * work.dense.rows;
        }
    } else if (plan->kind == ES_DENSE_WINDOWS) {
        make_windows(&work, input, output);
    } else {
        make_singles(&work, input, output);
    }
}
