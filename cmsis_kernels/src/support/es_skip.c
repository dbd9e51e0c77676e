#include "es_skip.h"

#include "es_kernels.h"
#include "es_size.h"
#include "es_window.h"

enum {
    SPANS = 8 /* added at a time; more filter rows than that take several times */
};

/* --- Lists --- */

/* The window's geometry. Windows that are pixels make a list of pixels, here rows of at most `band` of them. */
static es_conv_params_t geometry_of(const es_conv_params_t *params) {
    es_conv_params_t window = *params;
    if (es_window_is_pixel(params)) {
        const uint32_t positions =
            es_size_mul(es_size_mul((uint32_t)params->batches, (uint32_t)params->in_h), (uint32_t)params->in_w);
        uint32_t width = ES_SKIP_ROW_INPUTS / (uint32_t)params->in_c;
        width = width < params->band ? width : params->band;
        width = width < positions ? width : positions;
        width = width == 0 ? 1 : width;
        window.batches = 1;
        window.in_w = window.out_w = (int32_t)width;
        window.in_h = window.out_h = (int32_t)(positions / width + (positions % width != 0));
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

/* Places of a row: its pixels, one behind them, and what windows reach on both sides. */
static uint32_t places_of(const es_conv_params_t *window) {
    const uint32_t inside = es_size_add(es_size_add((uint32_t)window->in_w, 1), (uint32_t)window->pad_left);
    const uint32_t last = es_size_mul((uint32_t)window->out_w - 1, (uint32_t)window->stride_w);
    const uint32_t taps = es_size_mul((uint32_t)window->kernel_w - 1, (uint32_t)window->dilation_w);
    const uint32_t reached = es_size_add(es_size_add(last, taps), 2);
    return inside > reached ? inside : reached;
}

uint32_t es_skip_buffer_size(const es_conv_params_t *params) {
    if (params->in_c < 1 || params->in_w < 1 || params->out_w < 1) {
        return UINT32_MAX - 3U;
    }
    const es_conv_params_t window = geometry_of(params);
    const uint32_t slots = slots_of(&window, band_rows_of(&window, params->band));
    const uint32_t place_bytes = (uint32_t)sizeof(es_skip_place_t);
    const uint32_t row_bytes = es_size_add(es_size_mul(places_of(&window), place_bytes), (uint32_t)sizeof(uint32_t));
    return es_size_round4(es_size_add(lists_bytes(&window, slots), es_size_mul(row_bytes, slots)));
}

void es_skip_open(es_skip_lists_t *lists, const es_conv_params_t *params, uint32_t limit, void *scratch) {
    lists->window = geometry_of(params);
    lists->positions = (uint32_t)(params->batches * params->out_h * params->out_w);
    lists->band_rows = band_rows_of(&lists->window, params->band);
    lists->slots = slots_of(&lists->window, lists->band_rows);
    lists->places = places_of(&lists->window);
    lists->limit = limit;
    lists->lists = scratch;
    lists->entries = lists->lists + lists_bytes(&lists->window, lists->slots) / 4;
    lists->row_places = (es_skip_place_t *)(void *)(lists->entries + lists->slots);
}

/* The non-zero elements of a pixel as entries, from `list` on; `position` inputs lie between the last entry and the first
 * element, and afterwards between the last entry and what follows. Returns the list's new end.
 */
static uint32_t *list_pixel(uint32_t *list, const int8_t *from, uint32_t count, int32_t zero_point,
                            uint32_t *position) {
    uint32_t step = *position << ES_LISTS_UNIT_SHIFT;
    if (count >= 4) {
        list = es_lists_from_words(list, from, count / 4, zero_point, &step);
    }
    from += count & ~3U;
    for (count %= 4; count != 0; count--) {
        const int32_t factor = *from++ - zero_point;
        if (factor != 0) {
            *list++ = step | ((uint32_t)factor & ES_LISTS_FACTOR_MASK);
            step = 0;
        }
        step += 1U << ES_LISTS_UNIT_SHIFT;
    }
    *position = step >> ES_LISTS_UNIT_SHIFT;
    return list;
}

/* Lists a row of `pixels` pixels. */
static void list_row(const es_skip_lists_t *lists, const int8_t *from, uint32_t pixels, uint32_t slot) {
    const uint32_t in_c = (uint32_t)lists->window.in_c;
    const int32_t zero_point = lists->window.in_zero_point;
    es_skip_place_t *place = lists->row_places + slot * lists->places;
    es_skip_place_t *const places_end = place + lists->places;
    uint32_t *list = lists->lists + slot * (uint32_t)lists->window.in_w * in_c;
    uint32_t position = 0;
    int32_t behind = lists->window.pad_left * (int32_t)in_c;
    for (int32_t i = 0; i < lists->window.pad_left; i++) {
        *place++ = (es_skip_place_t){es_skip_address(list), behind * ES_SKIP_WORD_BYTES};
        behind -= (int32_t)in_c;
    }
    for (; pixels != 0; pixels--) {
        *place++ = (es_skip_place_t){es_skip_address(list), -(int32_t)position * ES_SKIP_WORD_BYTES};
        list = list_pixel(list, from, in_c, zero_point, &position);
        from += in_c;
    }
    while (place != places_end) {
        *place++ = (es_skip_place_t){es_skip_address(list), 0};
    }
}

/* Entries under all windows of a row of the image, one filter row high. */
static uint32_t row_entries(const es_skip_lists_t *lists, uint32_t slot) {
    const es_conv_params_t *window = &lists->window;
    const es_skip_place_t *const places = lists->row_places + slot * lists->places;
    const uint32_t at_once = window->dilation_w == 1 ? (uint32_t)window->kernel_w : 1;
    uint32_t bytes = 0;
    for (uint32_t kx = 0; kx < (uint32_t)window->kernel_w; kx += at_once) {
        const es_skip_place_t *place = places + kx * (uint32_t)window->dilation_w;
        for (uint32_t left = (uint32_t)window->out_w; left != 0; left--) {
            bytes += place[at_once].first - place[0].first;
            place += window->stride_w;
        }
    }
    return bytes / 4;
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
        lists->entries[(uint32_t)y % lists->slots] = row_entries(lists, (uint32_t)y % lists->slots);
    }
}

uint32_t es_skip_count(const es_skip_lists_t *lists, uint32_t out_y) {
    const es_conv_params_t *window = &lists->window;
    const uint32_t end = out_y + rows_here(lists, out_y);
    uint32_t entries = 0;
    for (; out_y < end; out_y++) {
        for (int32_t ky = 0; ky < window->kernel_h; ky++) {
            const int32_t y = (int32_t)out_y * window->stride_h - window->pad_top + ky * window->dilation_h;
            entries += y >= 0 && y < window->in_h ? lists->entries[(uint32_t)y % lists->slots] : 0;
        }
    }
    return entries;
}

/* --- Products --- */

/* An accumulator whose upper sum starts at the bias. */
static int64_t start_of(int32_t upper_bias) { return (int64_t)((uint64_t)(int64_t)upper_bias << 24); }

void es_skip_block_open(es_skip_block_t *block, const es_channel_t *channels, uint32_t first, uint32_t rows) {
    block->channels = channels + first;
    block->rows = rows - first < ES_SKIP_ROWS ? rows - first : ES_SKIP_ROWS;
    block->is_short = true;
    block->amounts = NULL;
    block->first = first;
    for (uint32_t i = 0; i < ES_SKIP_ROWS; i++) {
        const es_channel_t *channel = &block->channels[i < block->rows ? i : 0];
        const es_scale_t scale = es_scale_of(channel);
        es_lists_scale_t *to = &block->fast.scales[i / 2];
        *(i % 2 == 0 ? &to->lower : &to->upper) = scale;
        block->is_short = block->is_short && es_scale_is_short(&scale, &block->out);
        block->bias[i] = channel->bias;
    }
    es_skip_block_bias(block);
}

void es_skip_block_bias(es_skip_block_t *block) {
    for (uint32_t i = 0; i < ES_LISTS_WORDS; i++) {
        block->fast.scales[i].lower_bias2 = (int32_t)((uint32_t)block->bias[2 * i] << 1);
        block->fast.start[i] = start_of(block->bias[2 * i + 1]);
    }
}

/* Puts the amounts of a class on top of the biases, instead of those of another. */
ES_RARE void set_class(es_skip_block_t *block, uint32_t class) {
    const int16_t *const amounts = es_classes_amounts(&block->classes, class, block->first);
    if (amounts != block->amounts) {
        for (uint32_t i = 0; i < block->rows; i++) {
            const int32_t before = block->amounts == NULL ? 0 : block->amounts[i];
            block->bias[i] = (int32_t)((uint32_t)block->bias[i] + (uint32_t)(amounts[i] - before));
        }
        block->amounts = amounts;
        es_skip_block_bias(block);
    }
}

/* Takes accumulators apart and adds them to eight sums. */
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

/* What stays the same along a row of outputs, for up to SPANS rows of the filter. */
typedef struct {
    const es_skip_place_t *places;
    const uint8_t *words;
} tap_row_t;

/* The filter rows from `ky` on that meet the image; `ky` moves behind them. Returns how many. */
static uint32_t find_tap_rows(const es_skip_lists_t *lists, const es_skip_block_t *block, uint32_t out_y, int32_t *ky,
                              tap_row_t rows[SPANS]) {
    const es_conv_params_t *window = &lists->window;
    const uint32_t tap_bytes = (uint32_t)(window->kernel_w * window->in_c) * ES_SKIP_WORD_BYTES;
    uint32_t count = 0;
    for (; *ky < window->kernel_h && count < SPANS; ++*ky) {
        const int32_t y = (int32_t)out_y * window->stride_h - window->pad_top + *ky * window->dilation_h;
        if (y >= 0 && y < window->in_h) {
            rows[count].places = lists->row_places + (uint32_t)y % lists->slots * lists->places;
            rows[count].words = block->words + (uint32_t)*ky * tap_bytes;
            count++;
        }
    }
    return count;
}

/* The entries of places 0..taps-1, the first of which meets the filter row's first words. */
ES_INLINE es_lists_span_t span_of(const es_skip_lists_t *lists, const es_skip_place_t *place, uint32_t taps,
                                  const uint8_t *words) {
    const es_lists_span_t span = {es_skip_entry(lists->lists, place->first),
                                  (const uint8_t *)((uintptr_t)words + (uintptr_t)(intptr_t)place->behind_bytes),
                                  es_skip_entry(lists->lists, place[taps].first)};
    return span;
}

/* One position where a filter has more rows than SPANS, or gaps. */
static void multiply_slowly(const es_skip_lists_t *lists, const es_skip_block_t *block, uint32_t out_y, uint32_t place,
                            int8_t *output) {
    const es_conv_params_t *window = &lists->window;
    const uint32_t tap_bytes = (uint32_t)window->in_c * ES_SKIP_WORD_BYTES;
    int32_t sums[ES_SKIP_ROWS];
    memcpy(sums, block->bias, sizeof(sums));
    for (int32_t ky = 0; ky < window->kernel_h;) {
        tap_row_t rows[SPANS];
        const uint32_t count = find_tap_rows(lists, block, out_y, &ky, rows);
        for (uint32_t kx = 0; kx < (uint32_t)window->kernel_w; kx++) {
            const uint32_t tap_place = place + kx * (uint32_t)window->dilation_w;
            for (uint32_t i = 0; i < count; i++) {
                const es_lists_span_t span =
                    span_of(lists, &rows[i].places[tap_place], 1, rows[i].words + kx * tap_bytes);
                add_in_pieces(&span, 1, lists->limit, sums);
            }
        }
    }
    write_outputs(block, sums, output);
}

/* The block's outputs of `count` spans, one at least, whatever they are and however many there are of either. */
static void multiply_spans(const es_skip_block_t *block, const es_lists_span_t *spans, uint32_t count, uint32_t limit,
                           int8_t *output) {
    uint32_t entries = 0;
    for (uint32_t i = 0; i < count; i++) {
        entries += (uint32_t)(spans[i].end - spans[i].first);
    }
    if (!block->is_short || entries > limit) {
        write_any(block, spans, count, entries > limit, limit, output);
    } else if (block->rows == ES_SKIP_ROWS) {
        es_lists_span_outputs(spans, spans + count, &block->fast, output);
    } else {
        int8_t all[ES_SKIP_ROWS];
        es_lists_span_outputs(spans, spans + count, &block->fast, all);
        memcpy(output, all, block->rows);
    }
}

/* The classes of the positions from an output on, or NULL. */
static const uint8_t *classes_at(const es_skip_block_t *block, const int8_t *output) {
    return es_classes_any(&block->classes) ? es_classes_at(&block->classes, output) : NULL;
}

/* A row of `positions` outputs under `count` tap rows. `fast`: block is short and whole, lanes hold any window, and there
 * are no classes.
 */
ES_INLINE void multiply_row(const es_skip_lists_t *lists, es_skip_block_t *block, const tap_row_t *rows, uint32_t count,
                            bool fast, uint32_t positions, int8_t *output) {
    const uint8_t *class = fast ? NULL : classes_at(block, output);
    const uint32_t taps = (uint32_t)lists->window.kernel_w;
    const uint32_t step = (uint32_t)lists->window.stride_w;
    const uint32_t pitch = (uint32_t)lists->window.out_c;
    es_lists_span_t spans[SPANS];
    uint32_t place = 0;
    for (; positions != 0; positions--) {
        for (uint32_t i = 0; i < count; i++) {
            spans[i] = span_of(lists, &rows[i].places[place], taps, rows[i].words);
        }
        if (class != NULL) {
            set_class(block, *class++);
        }
        if (fast) {
            es_lists_span_outputs(spans, spans + count, &block->fast, output);
        } else {
            multiply_spans(block, spans, count, lists->limit, output);
        }
        place += step;
        output += pitch;
    }
}

void es_skip_multiply(const es_skip_lists_t *lists, es_skip_block_t *block, uint32_t out_y, int8_t *output) {
    const es_conv_params_t *window = &lists->window;
    const uint32_t end = out_y + rows_here(lists, out_y);
    const uint32_t columns = (uint32_t)(window->kernel_h * window->kernel_w) * (uint32_t)window->in_c;
    const bool is_simple = window->kernel_h <= SPANS && (window->dilation_w == 1 || window->kernel_w == 1);
    const bool is_plain = block->rows == ES_SKIP_ROWS && !es_classes_any(&block->classes);
    const bool is_fast = block->is_short && is_plain && columns <= lists->limit;
    for (; out_y < end; out_y++) {
        const uint32_t positions = es_window_is_pixel(window) ? pixels_of(lists, out_y) : (uint32_t)window->out_w;
        int32_t ky = 0;
        tap_row_t rows[SPANS];
        const uint32_t count = is_simple ? find_tap_rows(lists, block, out_y, &ky, rows) : 0;
        if (count == 0) {
            const uint8_t *class = classes_at(block, output);
            for (uint32_t i = 0; i < positions; i++) {
                if (class != NULL) {
                    set_class(block, class[i]);
                }
                multiply_slowly(lists, block, out_y, i * (uint32_t)window->stride_w,
                                output + i * (uint32_t)window->out_c);
            }
        } else if (!is_fast) {
            multiply_row(lists, block, rows, count, false, positions, output);
        } else if (count == 1) {
            multiply_row(lists, block, rows, 1, true, positions, output);
        } else if (count == 3) {
            multiply_row(lists, block, rows, 3, true, positions, output);
        } else {
            multiply_row(lists, block, rows, count, true, positions, output);
        }
        output += positions * (uint32_t)window->out_c;
    }
}
