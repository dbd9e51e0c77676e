#ifndef ES_KERNELS_H
#define ES_KERNELS_H
#include <stdbool.h>
#include "es_types.h"
void es_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                         const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params);
void es_conv_2d_delta8_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                          const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_conv_2d_delta8_s8_get_buffer_size(const es_conv_params_t *params);
void es_depthwise_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                                   const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_depthwise_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params);
void es_fully_connected_dense_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                 const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_fully_connected_dense_s8_get_buffer_size(const es_fc_params_t *params);
void es_fully_connected_delta8_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                  const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_fully_connected_delta8_s8_get_buffer_size(const es_fc_params_t *params);
void es_add_s8(const es_add_params_t *params, const int8_t *input1, const int8_t *input2, int8_t *output);
uint32_t es_add_s8_get_buffer_size(const es_add_params_t *params);
void es_average_pool_2d_s8(const es_pool_params_t *params, const int8_t *input, int8_t *output);
uint32_t es_average_pool_2d_s8_get_buffer_size(const es_pool_params_t *params);
void es_softmax_s8(const es_softmax_params_t *params, const int8_t *input, int8_t *output);
uint32_t es_softmax_s8_get_buffer_size(const es_softmax_params_t *params);
uint32_t es_count_equal_s8(const int8_t *data, uint32_t count, int32_t value);
#endif
