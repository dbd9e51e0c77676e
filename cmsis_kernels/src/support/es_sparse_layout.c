#include "es_sparse_layout.h"

#include "es_size.h"
#include "es_window.h"

/* Of rows that are made as ES_SPARSE_ROWS: six of a tile's eight positions. */
enum {
    LEAST_WIDTH = 6
};

void es_sparse_set_words(es_sparse_layout_t *layout, uint32_t positions) {
    layout->positions = positions;
    layout->words = positions / 2 + positions % 2;
    layout->words = layout->words < ES_LISTS_WORDS ? ES_LISTS_WORDS : layout->words;
    layout->distance = positions - layout->words;
}

static void set_packed(es_sparse_layout_t *layout, uint32_t reach) {
    layout->plane_words = es_size_add(layout->words, reach);
    const uint32_t planes = es_size_mul(layout->channels, layout->phases);
    layout->slot_bytes = es_size_mul(es_size_mul(planes, layout->plane_words), 4);
    layout->packed_bytes = es_size_mul(layout->slot_bytes, layout->slots);
}

/* Whether an entry can step from any packed word to any other. */
static bool in_reach(const es_sparse_layout_t *layout) { return layout->packed_bytes < ES_LISTS_STEP_LIMIT; }

static void set_rows(es_sparse_layout_t *layout, const es_conv_params_t *params, uint32_t rows) {
    const uint32_t kernel_h = (uint32_t)params->kernel_h, stride_h = (uint32_t)params->stride_h;
    const uint32_t stride_w = params->stride_w == 0 ? 1 : (uint32_t)params->stride_w;
    const uint32_t reach = es_size_mul((uint32_t)params->kernel_w - 1, (uint32_t)params->dilation_w);
    layout->mode = ES_SPARSE_ROWS;
    layout->channels = (uint32_t)params->in_c;
    layout->rows = rows;
    /* Output rows share input rows, unless their windows are apart or do not interlock. */
    layout->slot_step = params->dilation_h == 1 && stride_h < kernel_h ? stride_h : kernel_h;
    layout->slots = es_size_add(es_size_mul(rows - 1, layout->slot_step), kernel_h);
    layout->phases = reach < stride_w ? reach + 1 : stride_w;
    es_sparse_set_words(layout, (uint32_t)params->out_w);
    set_packed(layout, reach / stride_w);
}

static void set_run(es_sparse_layout_t *layout, uint32_t mode, uint32_t positions) {
    layout->mode = mode;
    layout->channels = layout->columns;
    layout->rows = 1;
    layout->phases = 1;
    layout->slots = 1;
    layout->slot_step = 0;
    es_sparse_set_words(layout, positions);
    set_packed(layout, 0);
}

static void set_mode(es_sparse_layout_t *layout, const es_conv_params_t *params) {
    const uint32_t out_h = (uint32_t)params->out_h, out_w = (uint32_t)params->out_w;
    const uint32_t total = es_size_mul(es_size_mul((uint32_t)params->batches, out_h), out_w);
    const uint32_t mode = es_window_is_pixel(params) ? ES_SPARSE_PIXELS : ES_SPARSE_COLUMNS;
    if (mode != ES_SPARSE_PIXELS && out_w >= LEAST_WIDTH) {
        const uint32_t rows = params->band / out_w + (params->band % out_w != 0);
        set_rows(layout, params, rows < out_h ? rows : out_h);
        if (in_reach(layout)) {
            return;
        }
        set_rows(layout, params, 1);
        if (in_reach(layout)) {
            return;
        }
    }
    const uint32_t band = es_size_add(params->band, ES_SPARSE_TILE - 1) & ~(uint32_t)(ES_SPARSE_TILE - 1);
    set_run(layout, mode, band < total ? band : total);
    if (total >= ES_SPARSE_LEAST && in_reach(layout)) {
        return;
    }
    set_run(layout, mode, ES_SPARSE_TILE < total ? ES_SPARSE_TILE : total);
    if (total < ES_SPARSE_LEAST || !in_reach(layout)) {
        layout->mode = ES_SPARSE_SINGLE;
        layout->packed_bytes = 0;
    }
}

es_sparse_layout_t es_sparse_layout(const es_conv_params_t *params) {
    es_sparse_layout_t layout = {.mode = ES_SPARSE_SINGLE};
    const uint32_t in_c = (uint32_t)params->in_c;
    const uint32_t kernel_h = (uint32_t)params->kernel_h, kernel_w = (uint32_t)params->kernel_w;
    layout.columns = es_size_mul(es_size_mul(kernel_h, kernel_w), in_c);
    set_mode(&layout, params);
    if (layout.mode != ES_SPARSE_SINGLE) {
        layout.list_bytes = es_size_mul(es_size_add(layout.columns, 2), 4);
    }
    if (layout.mode == ES_SPARSE_ROWS) {
        layout.jumps_bytes = es_size_mul(es_size_mul(kernel_h, kernel_w), 4);
        layout.pad_bytes = es_size_round4(in_c);
    } else if (!es_window_is_pixel(params)) {
        layout.pad_bytes = es_size_round4(es_size_mul(kernel_w, in_c));
        layout.column_bytes = es_size_round4(layout.columns);
    }
    return layout;
}
