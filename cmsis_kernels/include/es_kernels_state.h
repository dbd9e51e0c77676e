/* Kernels of models that keep state between runs. What es_kernels.h says of all kernels holds for these. */
#ifndef ES_KERNELS_STATE_H
#define ES_KERNELS_STATE_H

#include <stdint.h>

#include "es_types.h"

/* The copy behind ASSIGN_VARIABLE and READ_VARIABLE.
 *
 * Math: output = input.
 * Shapes: `bytes` bytes each.
 * Types and ranges: int8, all values; scale and zero point do not matter, as TFLite copies bytes too.
 * Layout: none.
 * Scratch: none.
 * Checked: bytes is the size of both tensors.
 * Source: ASSIGN_VARIABLE, READ_VARIABLE.
 */
void es_copy_s8(const es_copy_params_t *params, const int8_t *input, int8_t *output);
uint32_t es_copy_s8_get_buffer_size(const es_copy_params_t *params);

#endif
