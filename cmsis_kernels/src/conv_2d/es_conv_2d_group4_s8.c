#include "es_group4_rows.h"
#include "es_kernels.h"
#include "es_size.h"
#include "es_window.h"

/* Scratch: tiles of four packed columns for a band, a row's entries, columns of bytes (four where in_c is no multiple of
 * 4, one for a single position otherwise), the zero points.
 */
typedef struct {
    uint32_t columns;
    uint32_t positions; /* of a band */
    uint32_t tiles_bytes;
    uint32_t entries_bytes;
    uint32_t columns_bytes;
    uint32_t pad_bytes;
} layout_t;

static layout_t layout_of(const es_conv_params_t *params) {
    layout_t layout;
    const uint32_t in_c = (uint32_t)params->in_c;
    const uint32_t maps = es_size_mul((uint32_t)params->batches, (uint32_t)params->out_h);
    const uint32_t positions = es_size_mul(maps, (uint32_t)params->out_w);
    const uint32_t wanted = es_size_round4(params->band < positions ? params->band : positions);
    layout.columns = es_size_mul(es_size_mul((uint32_t)params->kernel_h, (uint32_t)params->kernel_w), in_c);
    layout.positions = wanted;
    layout.tiles_bytes = es_group4_tiles_bytes(layout.columns, wanted / 4);
    layout.entries_bytes = es_group4_entries_bytes(layout.columns);
    layout.columns_bytes = es_size_mul(es_size_round4(layout.columns), in_c % 4 == 0 ? 1 : 4);
    layout.pad_bytes = es_size_round4(es_size_mul((uint32_t)params->kernel_w, in_c));
    return layout;
}

uint32_t es_conv_2d_group4_s8_get_buffer_size(const es_conv_params_t *params) {
    const layout_t layout = layout_of(params);
    const uint32_t packed = es_size_add(layout.tiles_bytes, layout.entries_bytes);
    return es_size_add(packed, es_size_add(layout.columns_bytes, layout.pad_bytes));
}

/* Four windows to a tile, straight from the image: only where in_c is a multiple of 4. */
static void pack_taps(const es_conv_params_t *params, const es_window_t windows[4], const int8_t *pad, uint32_t *to) {
    int32_t taps;
    for (int32_t ky = 0; ky < params->kernel_h; ky++) {
        for (int32_t kx = 0; kx < params->kernel_w; kx += taps) {
            const int8_t *from[4];
            taps = params->kernel_w;
            for (int32_t i = 0; i < 4; i++) {
                int32_t run;
                from[i] = es_window_run(params, &windows[i], ky, kx, pad, &run);
                taps = run < taps ? run : taps;
            }
            to = es_group4_pack(to, from, (uint32_t)(taps * params->in_c) / 4);
        }
    }
}

/* Four windows to a tile by way of columns of bytes. */
static void pack_columns(const es_conv_params_t *params, const es_window_t windows[4], const int8_t *pad,
                         uint32_t length, int8_t *columns, uint32_t *to) {
    const int8_t *from[4];
    for (int32_t i = 0; i < 4; i++) {
        es_window_copy(params, &windows[i], pad, columns);
        from[i] = columns;
        columns += length;
    }
    es_group4_pack(to, from, length / 4);
}

/* `positions` windows from `window` on, which moves on, to tiles. */
static void pack_band(const es_conv_params_t *params, const layout_t *layout, es_window_t *window, uint32_t positions,
                      const int8_t *pad, int8_t *columns, uint32_t *tiles) {
    for (uint32_t done = 0; done < positions; done += 4) {
        es_window_t windows[4];
        for (uint32_t i = 0; i < 4; i++) {
            const bool is_left = done + i < positions;
            windows[i] = is_left ? *window : windows[0]; /* the first once more where none is left: dropped */
            if (is_left) {
                es_window_next(params, window);
            }
        }
        if (params->in_c % 4 == 0) {
            pack_taps(params, windows, pad, tiles);
        } else {
            pack_columns(params, windows, pad, layout->columns, columns, tiles);
        }
        tiles += layout->columns / 4 * (ES_GROUP4_TILE_BYTES / 4);
    }
}

void es_conv_2d_group4_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                          const es_channel_t *channels, int8_t *output, void *scratch) {
    const layout_t layout = layout_of(params);
    const es_group4_rows_t sparse = {weights,
                                     channels,
                                     (uint32_t)params->out_c,
                                     layout.columns,
                                     es_output(params->out_zero_point, params->act_min, params->act_max),
                                     es_classes_of(params, channels, output)};
    uint32_t positions = (uint32_t)(params->batches * params->out_h * params->out_w);
    uint32_t *const tiles = scratch;
    es_group4_entry_t *const entries = (void *)((uint8_t *)scratch + layout.tiles_bytes);
    int8_t *const columns = (int8_t *)scratch + layout.tiles_bytes + layout.entries_bytes;
    int8_t *const pad = columns + layout.columns_bytes;
    es_fill(pad, params->in_zero_point, layout.pad_bytes);

    es_window_t window = es_window_first(params, input);
    if (positions == 1) {
        es_window_copy(params, &window, pad, columns);
        es_group4_rows_one(&sparse, columns, output);
        return;
    }
    const bool is_pixel = es_window_is_pixel(params);
    while (positions != 0) {
        const uint32_t count = positions < layout.positions ? positions : layout.positions;
        if (is_pixel) {
            es_group4_pack_vectors(input, layout.columns, count, tiles);
            input += count * layout.columns;
        } else {
            pack_band(params, &layout, &window, count, pad, columns, tiles);
        }
        es_group4_rows_tiles(&sparse, tiles, count, entries, output);
        output += count * sparse.rows;
        positions -= count;
    }
}
