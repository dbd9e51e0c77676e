/* The inner loops that have a form of their own on x86-64, as functions: see test_inner_loops.py, which builds this file
 * with that form and without.
 */
#include "es_intrin_depthwise.h"
#include "es_intrin_tile.h"

/* Two columns by four rows: outputs [column][row], and the sums, [row][column]. scratch: of the walk's groups. */
void tile(const es_channel_t *channels, const uint8_t *weights, const int8_t *first, const int8_t *second,
          const uint32_t walk[3], int8_t *output, int32_t *sums, uint32_t *scratch);

/* Adds the products of four rows with a column. */
void dot(int32_t *acc, const uint8_t *rows, const int8_t *column, uint32_t groups, uint32_t *scratch);

/* 3 x 3 windows of one channel: outputs [lines][width][4], of which the first is written. filter: six words, from widen. */
void widen(const int8_t *taps, uint32_t *filter);
void three(const es_channel_t *channel, const uint32_t *filter, const int16_t *image, uint32_t pitch, uint32_t lines,
           uint32_t width, uint32_t stride, int8_t *output);

void tile(const es_channel_t *channels, const uint8_t *weights, const int8_t *first, const int8_t *second,
          const uint32_t walk[3], int8_t *output, int32_t *sums, uint32_t *scratch) {
    const uint32_t groups = (walk[0] - 1) * walk[2] + walk[1];
    const es_tile_walk_t way = {walk[0], walk[1], walk[2], groups};
    uint32_t *const rows = es_tile_pack_columns(scratch, first, second, groups);
    uint32_t *const end = es_tile_pack_rows(rows, channels, weights, &way);
    es_tile_make(rows, scratch, &way, &(es_tile_places_t){1, output, ES_TILE_ROWS, 0});
    *end = ES_TILE_SUMS;
    es_tile_make(rows, scratch, &way, &(es_tile_places_t){1, (int8_t *)sums, 0, 0});
}

void dot(int32_t *acc, const uint8_t *rows, const int8_t *column, uint32_t groups, uint32_t *scratch) {
    const uint32_t bytes = groups * 4;
    const uint8_t *const each[ES_DOT_ROWS] = {rows, rows + bytes, rows + 2 * bytes, rows + 3 * bytes};
    es_dot_pack(scratch, column, groups);
    es_dot_rows(acc, each, scratch, groups);
}

void widen(const int8_t *taps, uint32_t *filter) { es_three_widen(taps, 1, filter); }

void three(const es_channel_t *channel, const uint32_t *filter, const int16_t *image, uint32_t pitch, uint32_t lines,
           uint32_t width, uint32_t stride, int8_t *output) {
    const es_three_t windows = {
        .middle = image + pitch,
        .out_c = 4,
        .skip_bytes = 2 * pitch * stride - width / 2 * 4 * stride,
        .end = image + pitch + lines * pitch * stride,
        .left = (width - 2) << 8,
        .loop = 1,
        .pitch_bytes = 2 * pitch,
        .stride_w = stride,
    };
    es_three_make(&windows, filter, channel, output);
}
