/* Parts of the dense depthwise convolution: how channels are taken apart, and the loops over what they become.
 *
 * For `lanes` input channels at a time, the input rows that a strip of output rows needs lie in scratch as int16,
 * between zero points; two neighbours of a row are then one SMLAD. The filters of these channels are widened to pairs of
 * taps beside them, with zeros between the taps of a dilated filter and after those of an odd one.
 */
#ifndef ES_DEPTHWISE_STRIP_H
#define ES_DEPTHWISE_STRIP_H

#include "es_requant.h"

typedef struct {
    es_conv_params_t params; /* as given, or turned by a quarter where both images are one column wide */
    uint32_t lanes;          /* input channels at a time: 4, or 1 where in_c is no multiple of 4 */
    uint32_t multiplier;     /* output channels of an input channel */
    uint32_t width;          /* columns from the filter's first to its last */
    uint32_t height;         /* rows likewise */
    uint32_t pairs;          /* words of a filter's row */
    uint32_t pitch;          /* int16 of a widened row, even */
    uint32_t strip;          /* output rows at a time */
    uint32_t plane;          /* int16 of a channel's rows for a strip */
    uint32_t filter;         /* words of a widened filter */
} es_depthwise_plan_t;

/* A strip of one output channel. */
typedef struct {
    const es_depthwise_plan_t *plan;
    const es_output_t *out;
    const int16_t *plane;
    const uint32_t *filter;
    const es_channel_t *channel;
    uint32_t rows;
} es_depthwise_strip_t;

/* Fills `count` int16 with one value. */
void es_depthwise_fill(int16_t *to, int32_t value, uint32_t count);

/* Widens the filters of `count` output channels, from channel `first` on; zeros between and after taps are there from
 * the start.
 */
void es_depthwise_widen_filters(const es_depthwise_plan_t *plan, const int8_t *weights, uint32_t first, uint32_t count,
                                int16_t *to);

/* Widens input row y of `lanes` channels, the first of which `image` points at. What is outside is zero points from the
 * start; columns stay so, and rows as well where there is but one strip.
 */
void es_depthwise_widen_row(const es_depthwise_plan_t *plan, const int8_t *image, int32_t y, int16_t *to);

/* Makes a strip of one output channel; `output` points at its first value. */
void es_depthwise_make_strip(const es_depthwise_strip_t *strip, int8_t *output);

#endif
