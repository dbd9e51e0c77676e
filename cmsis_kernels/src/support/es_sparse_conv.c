#include "es_sparse_conv.h"

#include "es_classes.h"
#include "es_size.h"
#include "es_sparse_layout.h"
#include "es_window.h"

/* Positions of a band of a FULLY_CONNECTED. */
enum {
    VECTORS_BAND = 2 * ES_SPARSE_TILE
};

uint32_t es_sparse_conv_bytes(const es_conv_params_t *params) {
    const es_sparse_layout_t layout = es_sparse_layout(params);
    const uint32_t columns_bytes = es_size_mul(layout.column_bytes, layout.mode == ES_SPARSE_COLUMNS ? 2 : 1);
    const uint32_t operands_bytes = es_size_add(layout.packed_bytes, layout.list_bytes);
    const uint32_t pads_bytes = es_size_add(layout.jumps_bytes, layout.pad_bytes);
    return es_size_add(es_size_add(operands_bytes, pads_bytes), columns_bytes);
}

/* The convolution of 1x1 filters that a FULLY_CONNECTED is. */
static es_conv_params_t conv_of_vectors(const es_fc_params_t *params) {
    const es_conv_params_t conv = {
        .batches = 1,
        .in_h = 1,
        .in_w = params->batches,
        .in_c = params->in_c,
        .out_h = 1,
        .out_w = params->batches,
        .out_c = params->out_c,
        .kernel_h = 1,
        .kernel_w = 1,
        .stride_h = 1,
        .stride_w = 1,
        .dilation_h = 1,
        .dilation_w = 1,
        .out_zero_point = params->out_zero_point,
        .act_min = params->act_min,
        .act_max = params->act_max,
        .band = VECTORS_BAND,
    };
    return conv;
}

uint32_t es_sparse_vectors_bytes(const es_fc_params_t *params) {
    const es_conv_params_t conv = conv_of_vectors(params);
    return es_sparse_conv_bytes(&conv);
}

/* What the parts of a run share. */
typedef struct {
    es_sparse_layout_t layout;
    const es_conv_params_t *params;
    const es_sparse_t *sparse;
    es_sparse_rows_t weights;
    es_classes_t classes;
    uint32_t *packed;
    uint32_t *list;
    uint32_t *jumps;
    int8_t *pad;
    int8_t *column;
} run_t;

/* Values of `count` pairs of positions, each pair `pitch` bytes from the one before, to neighbouring words of each plane:
 * lower + 128 and upper.
 */
ES_APART void pack(const es_sparse_layout_t *layout, uint32_t *to, const int8_t *lower, const int8_t *upper,
                   uint32_t count, uint32_t pitch) {
    const uint32_t channels = layout->channels;
    uint32_t plane = layout->plane_words, top_bytes = 0xff00ff00U;
    es_opaque(plane); /* both stay in registers */
    es_opaque(top_bytes);
    for (; count != 0; count--) {
        uint32_t *next = to++;
        for (uint32_t fours = channels / 4; fours != 0; fours--) {
            const uint32_t low = es_read_u32(lower) ^ 0x80808080U, high = es_read_u32(upper);
            const uint32_t low02 = es_uxtb16(low), low13 = es_uxtb16_ror8(low);
            const uint32_t high02 = high << 8 & top_bytes, high13 = high & top_bytes;
            next[0] = es_pkhbt(low02, high02);
            next[plane] = es_pkhbt(low13, high13);
            next += 2 * plane;
            es_opaque(next);
            next[0] = es_pkhtb(low02, high02);
            next[plane] = es_pkhtb(low13, high13);
            next += 2 * plane;
            lower += 4;
            upper += 4;
        }
        for (uint32_t left = channels % 4; left != 0; left--) {
            *next = ((uint32_t)*upper++ << 24) | (uint32_t)(*lower++ + 128);
            next += plane;
        }
        lower += pitch - channels;
        upper += pitch - channels;
    }
}

/* How many of `words` have both positions inside the image, from columns x0 and x1 >= x0 on; 0 where the first has not. */
static uint32_t inside_words(const es_conv_params_t *params, int32_t x0, int32_t x1, uint32_t words) {
    if (x0 < 0 || x1 >= params->in_w) {
        return 0;
    }
    const uint32_t run = (uint32_t)(params->in_w - 1 - x1) / (uint32_t)params->stride_w + 1;
    return run < words ? run : words;
}

/* A row of an image to planes, phase after phase. */
static void pack_row(const run_t *run, const int8_t *row, uint32_t *to) {
    const es_conv_params_t *const params = run->params;
    const es_sparse_layout_t *const layout = &run->layout;
    const int32_t in_w = params->in_w, in_c = params->in_c, stride = params->stride_w;
    for (uint32_t phase = 0; phase < layout->phases; phase++) {
        int32_t x0 = (int32_t)phase - params->pad_left;
        int32_t x1 = x0 + (int32_t)layout->distance * stride;
        uint32_t words;
        for (uint32_t word = 0; word < layout->plane_words; word += words) {
            words = inside_words(params, x0, x1, layout->plane_words - word);
            if (words != 0) {
                pack(layout, to + word, row + x0 * in_c, row + x1 * in_c, words, (uint32_t)(stride * in_c));
            } else {
                words = 1;
                const int8_t *const lower = x0 >= 0 && x0 < in_w ? row + x0 * in_c : run->pad;
                const int8_t *const upper = x1 >= 0 && x1 < in_w ? row + x1 * in_c : run->pad;
                pack(layout, to + word, lower, upper, 1, (uint32_t)in_c);
            }
            x0 += (int32_t)words * stride;
            x1 += (int32_t)words * stride;
        }
        to += layout->channels * layout->plane_words;
    }
}

/* A row of padding. */
static void pad_row(const run_t *run, uint32_t *to) {
    const uint32_t zero_point = (uint32_t)run->params->in_zero_point;
    const uint32_t word = (zero_point << 24) | (zero_point + 128U);
    for (uint32_t words = run->layout.slot_bytes / 4; words != 0; words--) {
        *to++ = word;
    }
}

/* Downwards: the words may overlap, though not four of them. */
static void move_words(uint32_t *to, const uint32_t *from, uint32_t words) {
    for (uint32_t fours = words / 4; fours != 0; fours--) {
        uint32_t a, b, c, d;
        es_load_pair(from, 8, a, b);
        es_load_pair(from, 8, c, d);
        es_store_pair(to, 8, a, b);
        es_store_pair(to, 8, c, d);
    }
    for (uint32_t left = words % 4; left != 0; left--) {
        *to++ = *from++;
    }
}

/* The input of `rows` output rows from `out_y` on. Where `kept`, the band before was of all rows, and ended there. */
static void pack_rows(const run_t *run, const int8_t *image, uint32_t out_y, uint32_t rows, bool kept) {
    const es_conv_params_t *const params = run->params;
    const es_sparse_layout_t *const layout = &run->layout;
    const uint32_t slot_words = layout->slot_bytes / 4, kernel_h = (uint32_t)params->kernel_h;
    const uint32_t slots = (rows - 1) * layout->slot_step + kernel_h;
    uint32_t slot = 0;
    if (kept) {
        slot = layout->slots - layout->rows * layout->slot_step;
        move_words(run->packed, run->packed + layout->rows * layout->slot_step * slot_words, slot * slot_words);
    }
    for (; slot < slots; slot++) {
        int32_t y = (int32_t)out_y * params->stride_h - params->pad_top;
        if (layout->slot_step == kernel_h) {
            y += (int32_t)(slot / kernel_h) * params->stride_h + (int32_t)(slot % kernel_h) * params->dilation_h;
        } else {
            y += (int32_t)slot;
        }
        uint32_t *const to = run->packed + slot * slot_words;
        if (y >= 0 && y < params->in_h) {
            pack_row(run, image + (ptrdiff_t)y * params->in_w * params->in_c, to);
        } else {
            pad_row(run, to);
        }
    }
}

/* The jumps from the taps of a filter, each to the next. */
static void set_jumps(const run_t *run) {
    const es_sparse_layout_t *const layout = &run->layout;
    const uint32_t stride = (uint32_t)run->params->stride_w, dilation = (uint32_t)run->params->dilation_w;
    const uint32_t tap_bytes = layout->channels * layout->plane_words * 4;
    uint32_t *jump = run->jumps;
    for (int32_t y = 0; y < run->params->kernel_h; y++) {
        uint32_t before = 0, phase = 0, shift = 0;
        for (int32_t x = 1; x <= run->params->kernel_w; x++) {
            phase += dilation;
            shift += phase / stride;
            phase %= stride;
            const bool is_last = x == run->params->kernel_w;
            const uint32_t next = is_last ? layout->slot_bytes : phase * tap_bytes + shift * 4;
            *jump++ = es_lists_entry((int32_t)(next - before - tap_bytes), 0);
            before = next;
        }
    }
}

/* A row of weights on its way to its outputs. */
typedef struct {
    es_lists_channel_t lists;
    const es_channel_t *channel;
    uint32_t pairs_a_list;
    bool is_short; /* one list and the short requantisation */
} row_t;

/* Where outputs of a band lie. */
typedef struct {
    const uint8_t *operands; /* of the first output row */
    uint32_t row_bytes;      /* of operands from there to the next */
    uint32_t rows;
    uint32_t words;
    int8_t *output;
    uint32_t distance; /* bytes from a word's lower position to its upper */
    uint32_t row_pitch;
} band_t;

/* Eight outputs of any row: list after list, the lower sums taken out after each. */
static void any_tile(const row_t *row, const es_output_t *out, const void *operands, int8_t *output) {
    const es_lists_channel_t *const lists = &row->lists;
    int64_t acc[ES_LISTS_WORDS];
    int32_t low[ES_LISTS_WORDS];
    for (uint32_t i = 0; i < ES_LISTS_WORDS; i++) {
        acc[i] = lists->start[i];
        low[i] = lists->low_start;
    }
    const uint32_t *list = lists->list;
    for (uint32_t left = lists->pairs; left != 0;) {
        const uint32_t pairs = left < row->pairs_a_list ? left : row->pairs_a_list;
        operands = es_lists_add(list, pairs, operands, acc);
        list += 2 * pairs;
        left -= pairs;
        for (uint32_t i = 0; i < ES_LISTS_WORDS; i++) {
            low[i] = (int32_t)((uint32_t)low[i] + (uint32_t)es_lower24(acc[i]));
            acc[i] = (int64_t)((uint64_t)(uint32_t)es_upper24(acc[i]) << 24);
        }
    }
    for (uint32_t i = 0; i < ES_LISTS_WORDS; i++) {
        output[0] = es_requantize(low[i], row->channel, out);
        output[lists->distance] = es_requantize(es_upper24(acc[i]), row->channel, out);
        output += lists->pitch;
    }
}

/* All outputs of a band that one row of weights makes; the last tile of an output row goes over the one before. */
static void make_tiles(const row_t *row, const es_output_t *out, const band_t *band, int8_t *output) {
    const uint8_t *operands = band->operands;
    const uint32_t tiles = band->words / ES_LISTS_WORDS, last = band->words - ES_LISTS_WORDS;
    for (uint32_t left = band->rows; left != 0; left--) {
        if (row->is_short) {
            es_lists_outputs(&row->lists, operands, output, tiles);
            if (last % ES_LISTS_WORDS != 0) {
                es_lists_outputs(&row->lists, operands + 4 * last, output + last * row->lists.pitch, 1);
            }
        } else {
            for (uint32_t word = 0; word < last; word += ES_LISTS_WORDS) {
                any_tile(row, out, operands + 4 * word, output + word * row->lists.pitch);
            }
            any_tile(row, out, operands + 4 * last, output + last * row->lists.pitch);
        }
        operands += band->row_bytes;
        output += band->row_pitch;
    }
}

/* What accumulators start from: `upper` of the upper position's class and `lower` of the lower one's. */
typedef struct {
    int64_t upper[ES_CLASSES_MAX];
    int32_t lower[ES_CLASSES_MAX];
} starts_t;

static void set_starts(starts_t *starts, const es_classes_t *classes, uint32_t place, uint32_t bias) {
    const int16_t *amount = es_classes_amounts(classes, 0, place);
    for (uint32_t i = 0; i < classes->count; i++) {
        const int32_t added = *amount;
        starts->upper[i] = (int64_t)((uint64_t)(bias + (uint32_t)added) << 24);
        starts->lower[i] = added;
        amount += classes->rows;
    }
}

/* An output row where classes of positions add to the biases: as many tiles at a time as have the first one's. */
static void make_classes(row_t *row, const es_output_t *out, const starts_t *starts, const band_t *band,
                         const uint8_t *lower, const uint8_t *upper, const uint8_t *operands, int8_t *output) {
    const uint32_t last = band->words - ES_LISTS_WORDS;
    for (uint32_t word = 0, next; word < band->words; word = next) {
        const uint32_t at = word < last ? word : last;
        const uint32_t low = es_read_u32(lower + at), high = es_read_u32(upper + at);
        int64_t *const start = row->lists.start;
        start[0] = starts->upper[high & 0xff] + starts->lower[low & 0xff];
        start[1] = starts->upper[high >> 8 & 0xff] + starts->lower[low >> 8 & 0xff];
        start[2] = starts->upper[high >> 16 & 0xff] + starts->lower[low >> 16 & 0xff];
        start[3] = starts->upper[high >> 24] + starts->lower[low >> 24];
        int8_t *const to = output + at * row->lists.pitch;
        next = word + ES_LISTS_WORDS;
        if (!row->is_short) {
            any_tile(row, out, operands + 4 * at, to);
            continue;
        }
        while (next <= last && es_read_u32(lower + next) == low && es_read_u32(upper + next) == high) {
            next += ES_LISTS_WORDS;
        }
        es_lists_outputs(&row->lists, operands + 4 * at, to, (next - word) / ES_LISTS_WORDS);
    }
}

/* As make_tiles, where classes of positions add to the biases. */
static void make_class_tiles(row_t *row, const es_output_t *out, const band_t *band, const es_classes_t *classes,
                             uint32_t place) {
    const uint8_t *operands = band->operands;
    int8_t *output = band->output + place;
    starts_t starts;
    set_starts(&starts, classes, place, (uint32_t)row->channel->bias);
    for (uint32_t left = band->rows; left != 0; left--) {
        make_classes(row, out, &starts, band, es_classes_at(classes, output),
                     es_classes_at(classes, output + band->distance), operands, output);
        operands += band->row_bytes;
        output += band->row_pitch;
    }
}

/* Whether the lower sums of a list stay inside 24 bits, -2^23..2^23-1, as they do where its weights add up to 32768 at most
 * in size: 255 * 32768 = 8355840, and as much as an int16 they may start from. Weights count as 128 until they are looked at, so that few are.
 */
static bool is_in_bounds(const uint32_t *list, uint32_t entries) {
    const int8_t *weight = (const int8_t *)list;     /* the lowest byte of an entry */
    int32_t beyond = (int32_t)entries * 128 - 32768; /* fewer than 2^18 entries, as the packed words are no fewer */
    for (; beyond > 0 && entries != 0; entries--) {
        beyond -= 128 - (*weight < 0 ? -*weight : *weight);
        weight += 4;
    }
    return beyond <= 0;
}

/* Makes a row's entries one list, or lists of 256 entries and a last one. */
static void close_lists(row_t *row, uint32_t *list, const es_sparse_list_t *entries) {
    const uint32_t pairs = es_lists_close(list, entries->end);
    const bool is_one = is_in_bounds(list, 2 * pairs);
    row->lists.list = list;
    row->lists.pairs = pairs;
    row->pairs_a_list = is_one ? pairs : ES_LISTS_ENTRIES / 2;
    for (uint32_t done = row->pairs_a_list; done < pairs; done += row->pairs_a_list) {
        list[2 * done - 1] |= ES_LISTS_LAST;
    }
}

static void set_channel(row_t *row, const es_channel_t *channel, const es_output_t *out, int32_t sum) {
    const es_scale_t scale = es_scale_of(channel);
    row->channel = channel;
    row->is_short = es_scale_is_short(&scale, out) && row->pairs_a_list == row->lists.pairs;
    for (uint32_t i = 0; i < ES_LISTS_WORDS; i++) {
        row->lists.start[i] = (int64_t)((uint64_t)(uint32_t)channel->bias << 24);
    }
    row->lists.low_start = (int32_t)((uint32_t)channel->bias - 128U * (uint32_t)sum);
    row->lists.multiplier = scale.multiplier;
    row->lists.rounding = scale.rounding;
    row->lists.shift = scale.shift;
}

/* All outputs of a band whose operands are packed. */
static void make_band(const run_t *run, const band_t *band) {
    const es_sparse_layout_t *const layout = &run->layout;
    const es_sparse_operands_t operands = {layout->channels, es_lists_entry((int32_t)layout->plane_words * 4, 0),
                                           run->jumps};
    es_sparse_cursor_t cursor;
    const uint32_t rows = run->weights.rows;
    run->sparse->open(&cursor, &run->weights);
    row_t row = {.lists = {.distance = band->distance, .pitch = rows}};
    for (uint32_t i = 0; i < rows; i++) {
        const es_sparse_list_t entries = run->sparse->list(&cursor, layout->columns, &operands, run->list);
        close_lists(&row, run->list, &entries);
        set_channel(&row, &run->weights.channels[i], &run->weights.out, entries.sum);
        if (es_classes_any(&run->classes) && es_classes_matter(&run->classes, i, 1)) {
            make_class_tiles(&row, &run->weights.out, band, &run->classes, i);
        } else {
            make_tiles(&row, &run->weights.out, band, band->output + i);
        }
    }
}

static void run_rows(const run_t *run, const int8_t *input, int8_t *output) {
    const es_conv_params_t *const params = run->params;
    const es_sparse_layout_t *const layout = &run->layout;
    const uint32_t out_h = (uint32_t)params->out_h, out_c = (uint32_t)params->out_c;
    const uint32_t row_pitch = (uint32_t)params->out_w * out_c;
    const bool shared = layout->slot_step != (uint32_t)params->kernel_h;
    es_fill(run->pad, params->in_zero_point, layout->pad_bytes);
    set_jumps(run);
    for (int32_t batch = 0; batch < params->batches; batch++) {
        for (uint32_t y = 0; y < out_h; y += layout->rows) {
            const uint32_t rows = out_h - y < layout->rows ? out_h - y : layout->rows;
            pack_rows(run, input, y, rows, shared && y != 0);
            const band_t band = {
                .operands = (const uint8_t *)run->packed,
                .row_bytes = layout->slot_step * layout->slot_bytes,
                .rows = rows,
                .words = layout->words,
                .output = output,
                .distance = layout->distance * out_c,
                .row_pitch = row_pitch,
            };
            make_band(run, &band);
            output += rows * row_pitch;
        }
        input += (ptrdiff_t)params->in_h * params->in_w * params->in_c;
    }
}

/* The window of output position `position`, counted through all images. */
static es_window_t window_at(const es_conv_params_t *params, const int8_t *input, uint32_t position) {
    const uint32_t out_w = (uint32_t)params->out_w, out_h = (uint32_t)params->out_h;
    const int32_t x = (int32_t)(position % out_w), y = (int32_t)(position / out_w % out_h);
    const ptrdiff_t image_bytes = (ptrdiff_t)params->in_h * params->in_w * params->in_c;
    const es_window_t window = {input + (ptrdiff_t)(position / out_w / out_h) * image_bytes,
                                y * params->stride_h - params->pad_top, x * params->stride_w - params->pad_left, y, x};
    return window;
}

/* The values of a position's window, one after another: those of the pixel itself, or copied to `column`. */
static const int8_t *values_at(const run_t *run, const int8_t *input, uint32_t position, int8_t *column) {
    if (run->layout.column_bytes == 0) {
        return input + (size_t)position * run->layout.columns;
    }
    const es_window_t window = window_at(run->params, input, position);
    es_window_copy(run->params, &window, run->pad, column);
    return column;
}

/* The windows of a run of positions, from `begin` on. */
static void pack_run(const run_t *run, const int8_t *input, uint32_t begin) {
    const es_sparse_layout_t *const layout = &run->layout;
    const uint32_t columns = layout->columns;
    if (layout->mode == ES_SPARSE_PIXELS) {
        const int8_t *const lower = input + (size_t)begin * columns;
        pack(layout, run->packed, lower, lower + (size_t)layout->distance * columns, layout->words, columns);
        return;
    }
    for (uint32_t word = 0; word < layout->words; word++) {
        const uint32_t position = begin + word;
        const int8_t *const lower = values_at(run, input, position, run->column);
        const int8_t *const upper =
            values_at(run, input, position + layout->distance, run->column + layout->column_bytes);
        pack(layout, run->packed + word, lower, upper, 1, columns);
    }
}

/* Runs of positions; the last one goes over the one before, so that it is of tiles that are all there. */
static void run_positions(const run_t *run, const int8_t *input, int8_t *output, uint32_t total) {
    const es_sparse_layout_t *const layout = &run->layout;
    const uint32_t out_c = (uint32_t)run->params->out_c;
    es_fill(run->pad, run->params->in_zero_point, layout->pad_bytes);
    run_t part = *run;
    for (uint32_t first = 0; first < total; first += layout->positions) {
        uint32_t begin = first;
        if (total - first < layout->positions) {
            const uint32_t tiles = (total - first + ES_SPARSE_TILE - 1) / ES_SPARSE_TILE * ES_SPARSE_TILE;
            es_sparse_set_words(&part.layout, tiles < layout->positions ? tiles : layout->positions);
            part.layout.plane_words = part.layout.words;
            begin = total - part.layout.positions;
        }
        pack_run(&part, input, begin);
        const band_t band = {
            .operands = (const uint8_t *)run->packed,
            .rows = 1,
            .words = part.layout.words,
            .output = output + (size_t)begin * out_c,
            .distance = part.layout.distance * out_c,
        };
        make_band(&part, &band);
    }
}

static void run_single(const run_t *run, const int8_t *input, int8_t *output, uint32_t total) {
    es_fill(run->pad, run->params->in_zero_point, run->layout.pad_bytes);
    for (uint32_t position = 0; position < total; position++) {
        run->sparse->one(&run->weights, values_at(run, input, position, run->column), output);
        output += run->weights.rows;
    }
}

void es_sparse_conv(const es_sparse_t *sparse, const es_conv_params_t *params, const int8_t *input,
                    const uint8_t *weights, const es_channel_t *channels, int8_t *output, void *scratch) {
    run_t run = {
        .layout = es_sparse_layout(params),
        .params = params,
        .sparse = sparse,
        .classes = es_classes_of(params, channels, output),
        .weights = {weights, channels, (uint32_t)params->out_c, 0,
                    es_output(params->out_zero_point, params->act_min, params->act_max)},
    };
    run.weights.columns = run.layout.columns;
    const uint32_t total = (uint32_t)(params->batches * params->out_h * params->out_w);
    run.packed = scratch;
    run.list = run.packed + run.layout.packed_bytes / 4;
    run.jumps = run.list + run.layout.list_bytes / 4;
    run.pad = (int8_t *)(run.jumps + run.layout.jumps_bytes / 4);
    run.column = run.pad + run.layout.pad_bytes;
    if (run.layout.mode == ES_SPARSE_ROWS) {
        run_rows(&run, input, output);
    } else if (run.layout.mode == ES_SPARSE_SINGLE) {
        run_single(&run, input, output, total);
    } else {
        run_positions(&run, input, output, total);
    }
}

void es_sparse_vectors(const es_sparse_t *sparse, const es_fc_params_t *params, const int8_t *input,
                       const uint8_t *weights, const es_channel_t *channels, int8_t *output, void *scratch) {
    if (params->batches >= ES_SPARSE_LEAST) {
        const es_conv_params_t conv = conv_of_vectors(params);
        es_sparse_conv(sparse, &conv, input, weights, channels, output, scratch);
        return;
    }
    const es_sparse_rows_t rows = {weights, channels, (uint32_t)params->out_c, (uint32_t)params->in_c,
                                   es_output(params->out_zero_point, params->act_min, params->act_max)};
    for (int32_t batch = 0; batch < params->batches; batch++) {
        sparse->one(&rows, input, output);
        input += params->in_c;
        output += params->out_c;
    }
}
