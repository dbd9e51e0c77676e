/* Sets the smallest weights of a loaded model to zero, on the device: in encoding bitmap, which then leaves them out as it
 * does those that were zero before, and in encoding dense.
 *
 * Source: Ashouri, Abdelrahman, Dos Remedios, "Fast On-the-fly Retraining-free Sparsification of Convolutional Neural
 * Networks", 2018. Magnitudes are scale * |code| in real units, compared exactly: which weights go is the same, bit for bit,
 * as edgesparse/sparsify decides with double precision.
 */
#ifndef ES_SPARSIFY_H
#define ES_SPARSIFY_H

#include "es_frame.h"

/* Thresholds the weights of one node.
 *
 * model: loaded from `image`, which is writable; es_model_check must pass again before it runs, whatever this returns.
 * how: untrusted. done: weights and zeros of the node. Returns ES_STATUS_ok; bad_index or bad_kernel for a node that there is
 * not or that has another encoding; bad_params without the section of scales, for a scale that is not positive and finite,
 * scales more than 2^32 apart, and for `how` out of range.
 */
es_status_t es_sparsify(const es_model_t *model, uint8_t *image, const es_sparsify_t *how, es_sparsified_t *done);

#endif
