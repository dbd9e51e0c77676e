#include "es_requant.h"

int8_t es_requantize_any(int32_t acc, const es_channel_t *channel, const es_output_t *out) {
    const int64_t y = (int64_t)es_scale_exact(acc, channel->multiplier, channel->shift) + out->zero_point;
    return (int8_t)(y < out->min ? out->min : y > out->max ? out->max : y);
}
