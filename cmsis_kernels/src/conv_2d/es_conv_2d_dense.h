/* How the dense convolution goes through its outputs, and how it packs what a band of them reads. */
#ifndef ES_CONV_2D_DENSE_H
#define ES_CONV_2D_DENSE_H

#include "es_dense_rows.h"
#include "es_window.h"

enum {
    ES_DENSE_VECTORS, /* windows are pixels: input and output are lists of vectors */
    ES_DENSE_STRIPS,  /* pixels of the input are packed once a strip of the output, and windows lie in them */
    ES_DENSE_WINDOWS, /* windows are copied out of the image (im2col), and then packed */
    ES_DENSE_SINGLES  /* likewise one by one */
};

typedef struct {
    uint32_t kind;
    uint32_t count;     /* values of a window */
    uint32_t groups;    /* of four of them */
    uint32_t positions; /* outputs of all images */
    uint32_t columns;   /* of a band; of strips across */
    uint32_t lines;     /* of a band: 1 but for strips */
    uint32_t packed_bytes;
    uint32_t pad_bytes;    /* a filter row of zero points, for taps outside the image */
    uint32_t column_bytes; /* copies of windows */
} es_dense_plan_t;

/* Holds for any parameters, checked or not: sizes stick at impossible ones. */
es_dense_plan_t es_dense_plan(const es_conv_params_t *params);

/* The strip of `lines` times `columns` outputs, and what of the input it needs packed. */
typedef struct {
    es_dense_band_t band;
    uint32_t in_lines;
    uint32_t pixels;      /* of a packed line, each with the one that the second column of a pair has in its place */
    uint32_t line_groups; /* packed */
} es_dense_strip_t;

es_dense_strip_t es_dense_strip(const es_conv_params_t *params, uint32_t lines, uint32_t columns);

/* Packs the input of a strip whose first tap is at row y and column x. */
void es_dense_pack_strip(const es_conv_params_t *params, const es_dense_strip_t *strip, const int8_t *image, int32_t y,
                         int32_t x, const int8_t *pad, uint32_t *to);

/* Copies a window to a column of bytes. */
void es_dense_copy_window(const es_conv_params_t *params, const es_window_t *window, const int8_t *pad, int8_t *column);

#endif
