#include "es_conv_2d_dense.h"

/* es_copy, once for all that is rare. */
ES_APART void copy_few(int8_t *to, const int8_t *from, int32_t bytes) { es_copy(to, from, bytes); }

void es_dense_copy_window(const es_conv_params_t *params, const es_window_t *window, const int8_t *pad,
                          int8_t *column) {
    if (params->dilation_w != 1) {
        es_window_copy(params, window, pad, column);
        return;
    }
    const int32_t in_c = params->in_c;
    const int32_t kernel_w = params->kernel_w;
    const int32_t row_bytes = kernel_w * in_c;
    const int32_t pitch = params->in_w * in_c;
    const int32_t step_h = params->dilation_h;
    const int32_t beyond = window->x + kernel_w - params->in_w;
    const int32_t left = window->x >= 0 ? 0 : -window->x < kernel_w ? -window->x * in_c : row_bytes;
    const int32_t right = beyond <= 0 ? 0 : beyond < kernel_w ? beyond * in_c : row_bytes;
    const int32_t start = window->x * in_c + left;
    int32_t y = window->y;
    for (int32_t ky = params->kernel_h; ky != 0; ky--) {
        const bool is_outside = y < 0 || y >= params->in_h || left + right >= row_bytes;
        const int8_t *const from = is_outside ? pad : window->image + (y * pitch + start);
        if (is_outside || left + right == 0) {
            es_copy(column, from, row_bytes);
        } else {
            if (left != 0) {
                copy_few(column, pad, left);
            }
            copy_few(column + left, from, row_bytes - left - right);
            if (right != 0) {
                copy_few(column + row_bytes - right, pad, right);
            }
        }
        y += step_h;
        column += row_bytes;
    }
}
