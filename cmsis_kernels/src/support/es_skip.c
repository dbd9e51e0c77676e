#include "es_skip.h"

#include "es_kernels.h"
#include "es_size.h"
#include "es_window.h"

enum {
    SPANS = 8, /* added at a time; more filter rows than that take several times */
    UNIT_SHIFT = 16 /* of a step of one input, as an entry holds it */
};

/* --- Lists --- */

/* The window's geometry. Windows that are pixels make a list of pixels, here rows of at most `band` of them. */
static es_conv_params_t geometry_of(const es_conv_params_t *params) {
    es_conv_params_t window = *params;
    if (es_window_is_pixel(params)) {
        const uint64_t positions = (uint64_t)(uint32_t)params->batches * (uint32_t)params->in_h * (uint32_t)params->in_w;
        uint32_t width = ES_SKIP_ROW_INPUTS / (uint32_t)params->in_c;
        width = width < params->band ? width : params->band;
        width = width < positions ? width : (uint32_t)positions;
        width = width == 0 ? 1 : width;
        window.batches = 1;
        window.in_w = window.out_w = (int32_t)width;
        window.in_h = window.out_h = (int32_t)((positions + width - 1) / width);
    }
    return window;
}

static uint32_t band_rows_of(const es_conv_params_t *window, uint32_t band) {
    const uint32_t rows = band / (uint32_t)window->out_w;
    return rows == 0 ? 1 : rows < (uint32_t)window->out_h ? rows : (uint32_t)window->out_h;
}

static uint32_t slots_of(const es_conv_params_t *window, uint32_t band_rows) {
    const uint32_t first_to_last = es_size_mul(band_rows - 1, (uint32_t)window->stride_h);
    const uint32_t taps = es_size_mul((uint32_t)window->kernel_h - 1, (uint32_t)window->dilation_h);
    const uint32_t rows = es_size_add(es_size_add(first_to_last, taps), 1);
    return rows < (uint32_t)window->in_h ? rows : (uint32_t)window->in_h;
}

static uint32_t lists_bytes(const es_conv_params_t *window, uint32_t slots) {
    return es_size_mul(es_size_mul(es_size_mul((uint32_t)window->in_w, (uint32_t)window->in_c), 4), slots);
}

uint32_t es_skip_buffer_size(const es_conv_params_t *params) {
    if (params->in_c < 1 || params->in_w < 1 || params->out_w < 1) {
        return UINT32_MAX - 3U;
    }
    const es_conv_params_t window = geometry_of(params);
    const uint32_t slots = slots_of(&window, band_rows_of(&window, params->band));
    const uint32_t starts_bytes = es_size_mul(es_size_mul((uint32_t)window.in_w + 1, 4), slots);
    return es_size_round4(es_size_add(lists_bytes(&window, slots), starts_bytes));
}

void es_skip_open(es_skip_lists_t *lists, const es_conv_params_t *params, uint32_t limit, void *scratch) {
    lists->window = geometry_of(params);
    lists->positions = (uint32_t)(params->batches * params->out_h * params->out_w);
    lists->band_rows = band_rows_of(&lists->window, params->band);
    lists->slots = slots_of(&lists->window, lists->band_rows);
    lists->limit = limit;
    lists->lists = scratch;
    lists->starts = lists->lists + lists_bytes(&lists->window, lists->slots) / 4;
}

uint32_t *es_skip_list_vector(uint32_t *list, const int8_t *from, uint32_t count, int32_t zero_point,
                              uint32_t *position) {
    const uint32_t key = ((uint32_t)zero_point & 0xffU) * 0x01010101U;
    uint32_t step = *position << UNIT_SHIFT;
    for (; count >= 4; count -= 4) {
        const uint32_t word = es_read_u32(from);
        const uint32_t different = word ^ key;
        from += 4;
        for (uint32_t bit = 0; bit < 32; bit += 8) {
            if ((different & 0xffU << bit) != 0) {
                const int32_t factor = (int8_t)(word >> bit & 0xffU) - zero_point;
                *list++ = step | ((uint32_t)factor & ES_LISTS_FACTOR_MASK);
                step = 0;
            }
            step += 1U << UNIT_SHIFT;
        }
    }
    for (; count != 0; count--) {
        const int32_t factor = *from++ - zero_point;
        if (factor != 0) {
            *list++ = step | ((uint32_t)factor & ES_LISTS_FACTOR_MASK);
            step = 0;
        }
        step += 1U << UNIT_SHIFT;
    }
    *position = step >> UNIT_SHIFT;
    return list;
}

/* Lists a row of `pixels` pixels. */
static void list_row(const es_skip_lists_t *lists, const int8_t *from, uint32_t pixels, uint32_t slot) {
    const uint32_t in_c = (uint32_t)lists->window.in_c;
    const uint32_t in_w = (uint32_t)lists->window.in_w;
    const int32_t zero_point = lists->window.in_zero_point;
    uint32_t *const row = lists->lists + slot * in_w * in_c;
    uint32_t *starts = lists->starts + slot * (in_w + 1);
    uint32_t *list = row;
    uint32_t position = 0;
    for (uint32_t input = 0; input < pixels * in_c; input += in_c) {
        *starts++ = (uint32_t)(list - row) | (input - position) << 16;
        list = es_skip_list_vector(list, from + input, in_c, zero_point, &position);
    }
    *starts = (uint32_t)(list - row);
}

/* Pixels of a row: the last one of a list of pixels may be shorter. */
static uint32_t pixels_of(const es_skip_lists_t *lists, uint32_t y) {
    const uint32_t in_w = (uint32_t)lists->window.in_w;
    const bool is_short = es_window_is_pixel(&lists->window) && lists->positions - y * in_w < in_w;
    return is_short ? lists->positions - y * in_w : in_w;
}

/* First input row under output row `out_y`, and the one behind its last, both inside the image. */
static void input_rows(const es_conv_params_t *window, uint32_t out_y, int32_t *first, int32_t *end) {
    const int32_t top = (int32_t)out_y * window->stride_h - window->pad_top;
    const int32_t bottom = top + (window->kernel_h - 1) * window->dilation_h + 1;
    *first = top < 0 ? 0 : top < window->in_h ? top : window->in_h;
    *end = bottom < 0 ? 0 : bottom < window->in_h ? bottom : window->in_h;
}

static uint32_t rows_here(const es_skip_lists_t *lists, uint32_t out_y) {
    const uint32_t left = (uint32_t)lists->window.out_h - out_y;
    return left < lists->band_rows ? left : lists->band_rows;
}

void es_skip_list_rows(const es_skip_lists_t *lists, const int8_t *image, uint32_t out_y) {
    const es_conv_params_t *window = &lists->window;
    int32_t first, end, unused, listed = 0;
    if (out_y != 0) {
        input_rows(window, out_y - 1, &unused, &listed);
    }
    input_rows(window, out_y, &first, &unused);
    input_rows(window, out_y + rows_here(lists, out_y) - 1, &unused, &end);
    for (int32_t y = first > listed ? first : listed; y < end; y++) {
        list_row(lists, image + y * window->in_w * window->in_c, pixels_of(lists, (uint32_t)y),
                 (uint32_t)y % lists->slots);
    }
}

/* --- Products --- */

void es_skip_block_open(es_skip_block_t *block, const es_channel_t *channels, uint32_t first, uint32_t rows) {
    block->channels = channels + first;
    block->rows = rows - first < ES_SKIP_ROWS ? rows - first : ES_SKIP_ROWS;
    block->is_short = block->rows == ES_SKIP_ROWS;
    for (uint32_t i = 0; i < ES_SKIP_ROWS; i++) {
        block->bias[i] = i < block->rows ? block->channels[i].bias : 0;
        if (i < block->rows) {
            const es_scale_t scale = es_scale_of(&block->channels[i]);
            block->is_short = block->is_short && es_scale_is_short(&scale, &block->out);
        }
    }
}

/* Takes the lanes apart and adds them to eight sums. */
static void add_lanes(const int64_t acc[ES_LISTS_WORDS], int32_t sums[ES_SKIP_ROWS]) {
    for (uint32_t i = 0; i < ES_LISTS_WORDS; i++) {
        sums[2 * i] = (int32_t)((uint32_t)sums[2 * i] + (uint32_t)es_lower24(acc[i]));
        sums[2 * i + 1] = (int32_t)((uint32_t)sums[2 * i + 1] + (uint32_t)es_upper24(acc[i]));
    }
}

static void write_outputs(const es_skip_block_t *block, const int32_t sums[ES_SKIP_ROWS], int8_t *output) {
    for (uint32_t i = 0; i < block->rows; i++) {
        output[i] = es_requantize(sums[i], &block->channels[i], &block->out);
    }
}

/* All sums from the lanes to the outputs, where every row is there and short. */
ES_INLINE void write_block(const es_skip_block_t *block, const int64_t acc[ES_LISTS_WORDS], int8_t *output) {
    const es_channel_t *channel = block->channels;
    for (uint32_t i = 0; i < ES_LISTS_WORDS; i++) {
        const es_scale_t scale0 = es_scale_of(channel), scale1 = es_scale_of(channel + 1);
        const uint32_t low = (uint32_t)block->bias[2 * i] + (uint32_t)es_lower24(acc[i]);
        const uint32_t high = (uint32_t)block->bias[2 * i + 1] + (uint32_t)es_upper24(acc[i]);
        output[2 * i] = (int8_t)es_requantize_short((int32_t)low, &scale0);
        output[2 * i + 1] = (int8_t)es_requantize_short((int32_t)high, &scale1);
        channel += 2;
    }
}

/* Spans of more entries than the lanes hold, in pieces of `limit` at most. */
static void add_in_pieces(const es_lists_span_t *spans, uint32_t count, uint32_t limit, int32_t sums[ES_SKIP_ROWS]) {
    for (uint32_t i = 0; i < count; i++) {
        es_lists_span_t piece = spans[i];
        while (piece.first != spans[i].end) {
            int64_t acc[ES_LISTS_WORDS] = {0, 0, 0, 0};
            const uint32_t left = (uint32_t)(spans[i].end - piece.first);
            piece.end = piece.first + (left < limit ? left : limit);
            es_lists_add_spans(&piece, &piece + 1, acc);
            add_lanes(acc, sums);
            for (; piece.first != piece.end; piece.first++) {
                piece.base += (int32_t)(*piece.first & ~(uint32_t)0xfff) >> 12;
            }
        }
    }
}

/* Outputs of any rows from spans of any length. */
static void write_any(const es_skip_block_t *block, const es_lists_span_t *spans, uint32_t count, bool in_pieces,
                      uint32_t limit, int8_t *output) {
    int32_t sums[ES_SKIP_ROWS];
    memcpy(sums, block->bias, sizeof(sums));
    if (in_pieces) {
        add_in_pieces(spans, count, limit, sums);
    } else if (count != 0) {
        int64_t acc[ES_LISTS_WORDS] = {0, 0, 0, 0};
        es_lists_add_spans(spans, spans + count, acc);
        add_lanes(acc, sums);
    }
    write_outputs(block, sums, output);
}

static uint32_t entries_of(const es_lists_span_t *spans, uint32_t count) {
    uint32_t entries = 0;
    for (uint32_t i = 0; i < count; i++) {
        entries += (uint32_t)(spans[i].end - spans[i].first);
    }
    return entries;
}

/* What stays the same along a row of outputs, for up to SPANS rows of the filter. */
typedef struct {
    const uint32_t *list;
    const uint32_t *starts;
    const uint8_t *words;
} tap_row_t;

/* The filter rows from `ky` on that meet the image; `ky` moves behind them. Returns how many. */
static uint32_t find_tap_rows(const es_skip_lists_t *lists, const es_skip_block_t *block, uint32_t out_y, int32_t *ky,
                              tap_row_t rows[SPANS]) {
    const es_conv_params_t *window = &lists->window;
    const uint32_t row_inputs = (uint32_t)(window->in_w * window->in_c);
    const uint32_t tap_bytes = (uint32_t)(window->kernel_w * window->in_c) * ES_SKIP_WORD_BYTES;
    uint32_t count = 0;
    for (; *ky < window->kernel_h && count < SPANS; ++*ky) {
        const int32_t y = (int32_t)out_y * window->stride_h - window->pad_top + *ky * window->dilation_h;
        if (y >= 0 && y < window->in_h) {
            const uint32_t slot = (uint32_t)y % lists->slots;
            rows[count].list = lists->lists + slot * row_inputs;
            rows[count].starts = lists->starts + slot * ((uint32_t)window->in_w + 1);
            rows[count].words = block->words + (uint32_t)*ky * tap_bytes;
            count++;
        }
    }
    return count;
}

/* The entries of pixels first..end-1 of a row; pixel `first` meets tap kx. */
ES_INLINE void find_span(const es_conv_params_t *window, const tap_row_t *row, int32_t first, int32_t end, int32_t kx,
                         es_lists_span_t *span) {
    const uint32_t start = row->starts[first];
    const int32_t input = (int32_t)(start >> 16) - (first - kx) * window->in_c; /* where the steps stand */
    span->first = row->list + (start & 0xffffU);
    span->end = row->list + (row->starts[end] & 0xffffU);
    span->base = (const uint8_t *)((uintptr_t)row->words + (uintptr_t)(intptr_t)(input * ES_SKIP_WORD_BYTES));
}

/* The spans of a window at input column x under some filter rows, for taps kx..end-1. Returns how many. */
ES_INLINE uint32_t find_spans(const es_conv_params_t *window, const tap_row_t *rows, uint32_t count, int32_t x,
                              int32_t kx, es_lists_span_t spans[SPANS]) {
    const int32_t taps = window->dilation_w == 1 ? window->kernel_w : 1;
    const int32_t column = x + kx * window->dilation_w;
    const int32_t first = column < 0 ? 0 : column;
    const int32_t end = column + taps < window->in_w ? column + taps : window->in_w;
    if (first >= end) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        find_span(window, &rows[i], first, end, kx + first - column, &spans[i]);
    }
    return count;
}

/* One position where a filter has more rows than SPANS or gaps. */
static uint32_t multiply_slowly(const es_skip_lists_t *lists, const es_skip_block_t *block, uint32_t out_y, int32_t x,
                                int8_t *output) {
    const es_conv_params_t *window = &lists->window;
    int32_t sums[ES_SKIP_ROWS];
    uint32_t entries = 0;
    memcpy(sums, block->bias, sizeof(sums));
    for (int32_t ky = 0; ky < window->kernel_h;) {
        tap_row_t rows[SPANS];
        es_lists_span_t spans[SPANS];
        const uint32_t row_count = find_tap_rows(lists, block, out_y, &ky, rows);
        for (int32_t kx = 0; kx < window->kernel_w; kx += window->dilation_w == 1 ? window->kernel_w : 1) {
            const uint32_t count = find_spans(window, rows, row_count, x, kx, spans);
            entries += entries_of(spans, count);
            add_in_pieces(spans, count, lists->limit, sums);
        }
    }
    write_outputs(block, sums, output);
    return entries;
}

/* The block's outputs of `count` spans, which have `entries` entries. */
ES_INLINE void multiply_spans(const es_skip_block_t *block, const es_lists_span_t *spans, uint32_t count,
                              uint32_t entries, uint32_t limit, int8_t *output) {
    int64_t acc[ES_LISTS_WORDS] = {0, 0, 0, 0};
    if (ES_UNLIKELY(!block->is_short || entries > limit)) {
        write_any(block, spans, count, entries > limit, limit, output);
        return;
    }
    if (count != 0) {
        es_lists_add_spans(spans, spans + count, acc);
    }
    write_block(block, acc, output);
}

void es_skip_span(const es_skip_block_t *block, const es_lists_span_t *span, uint32_t limit, int8_t *output) {
    multiply_spans(block, span, 1, entries_of(span, 1), limit, output);
}

uint32_t es_skip_multiply(const es_skip_lists_t *lists, const es_skip_block_t *block, uint32_t out_y, int8_t *output) {
    const es_conv_params_t *window = &lists->window;
    const uint32_t rows_end = out_y + rows_here(lists, out_y);
    const bool simple = window->kernel_h <= SPANS && (window->dilation_w == 1 || window->kernel_w == 1);
    uint32_t entries = 0;
    for (uint32_t y = out_y; y < rows_end; y++) {
        int32_t ky = 0;
        int32_t x = -window->pad_left;
        tap_row_t rows[SPANS];
        const uint32_t row_count = simple ? find_tap_rows(lists, block, y, &ky, rows) : 0;
        for (uint32_t left = es_window_is_pixel(window) ? pixels_of(lists, y) : (uint32_t)window->out_w; left != 0;
             left--) {
            if (simple) {
                es_lists_span_t spans[SPANS];
                const uint32_t count = find_spans(window, rows, row_count, x, 0, spans);
                const uint32_t found = entries_of(spans, count);
                multiply_spans(block, spans, count, found, lists->limit, output);
                entries += found;
            } else {
                entries += multiply_slowly(lists, block, y, x, output);
            }
            output += window->out_c;
            x += window->stride_w;
        }
    }
    return entries;
}
