/* Parts of the dense depthwise convolution: how channels are taken apart, and the loops over what they become.
 *
 * For `lanes` input channels at a time, the input rows that a strip of output rows needs lie in scratch as int16,
 * between zero points; two neighbours of a row are then one SMLAD. A row of each channel lies behind the same row of the
 * one before. Rows that the next strip needs as well are moved up, not widened again.
 *
 * The filters of these channels are widened beside them to pairs of taps: as es_three_t wants them (`three`), or with
 * zeros between the taps of a dilated filter and after those of an odd one.
 */
#ifndef ES_DEPTHWISE_STRIP_H
#define ES_DEPTHWISE_STRIP_H

#include "es_intrin_depthwise.h"
#include "es_intrin_windows.h"
#include "es_requant.h"

typedef struct {
    es_conv_params_t params; /* as given, or turned by a quarter where both images are one column wide */
    uint32_t lanes;          /* input channels at a time: 4, or 1 where in_c is no multiple of 4 */
    uint32_t multiplier;     /* output channels of an input channel */
    uint32_t width;          /* columns from the filter's first to its last */
    uint32_t height;         /* rows likewise */
    uint32_t pairs;          /* words of a filter's row, 2 or more */
    uint32_t lane;           /* int16 of a channel's widened row, even */
    uint32_t pitch;          /* int16 of a row of all lanes */
    uint32_t strip;          /* output rows at a time */
    uint32_t in_rows;        /* widened rows of a full strip */
    uint32_t filter;         /* words of a widened filter */
    bool three;              /* 3 x 3 taps, and the pitch is one of ES_THREE_PITCHES */
} es_depthwise_plan_t;

/* A strip of `lanes` input channels. */
typedef struct {
    const es_depthwise_plan_t *plan;
    const es_output_t *out;
    int16_t *rows_at;
    const uint32_t *filters;
    const es_channel_t *channels; /* of the first output channel */
    uint32_t rows;
    bool is_three;        /* the filters are for es_three_make: there is a loop, and all channels are short */
    es_three_t three;     /* of the first channel, but for `end`; its `loop` is 0 where there is none */
    es_windows_t windows; /* of the first channel; its `rows` is 0 where there is no loop */
} es_depthwise_strip_t;

/* Bytes that are widened, and where to: input rows that are inside the image, or filters, an image of taps. */
typedef struct {
    uint32_t from; /* of the image's bytes */
    int16_t *to;
    uint32_t rows, columns;
    uint32_t row_bytes, pixel_bytes;
    uint32_t lane, pitch;
} es_depthwise_block_t;

/* Fills `words` words. */
void es_depthwise_fill(void *to, uint32_t word, uint32_t words);

/* Widens the filters of `count` output channels, from channel `first` on; zeros between and after taps are there
 * already.
 */
void es_depthwise_widen_filters(const es_depthwise_plan_t *plan, const int8_t *weights, uint32_t first, uint32_t count,
                                int16_t *to);

/* The same where plan->three, for filters that es_three_make takes. */
void es_depthwise_widen_threes(const es_depthwise_plan_t *plan, const int8_t *weights, uint32_t first, uint32_t count,
                               uint32_t *to);

/* The part inside of `count` input rows from row y on. Columns outside are zero points from the start; rows outside as
 * well, and stay so where there is but one strip, else they are filled here.
 */
es_depthwise_block_t es_depthwise_block(const es_depthwise_plan_t *plan, int32_t y, uint32_t count, int16_t *to);

/* Widens it for `lanes` channels, 4 or 1, the first of which `image` points at. */
void es_depthwise_widen_block(uint32_t lanes, const es_depthwise_block_t *block, const int8_t *image);

/* What es_three_make needs to know of all strips, if plan->three; else its `loop` is 0. */
es_three_t es_depthwise_three(const es_depthwise_plan_t *plan, const int16_t *rows_at);

/* What es_windows_make needs to know of all strips; its `rows` is 0 where it takes no windows. */
es_windows_t es_depthwise_windows(const es_depthwise_plan_t *plan, const int16_t *rows_at);

/* Makes a strip of all output channels of `lanes` input channels; `output` points at its first value. */
void es_depthwise_make_strip(const es_depthwise_strip_t *strip, int8_t *output);

/* True where the only output position of each channel sees nothing but the image, as in a streaming model: then nothing
 * is worth preparing.
 */
bool es_depthwise_is_window(const es_conv_params_t *params);

/* Makes it, four channels at a time, without scratch. */
void es_depthwise_make_window(const es_conv_params_t *params, const int8_t *input, const int8_t *weights,
                              const es_channel_t *channels, int8_t *output);

#endif
