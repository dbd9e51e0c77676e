/* Parts that firmware for one model may do without: 1, or 0 where the build says -DES_HAS_<part>=0.
 *
 * edgesparse/deploy/export.py tells which ones an image needs. Firmware without a part refuses images and records that
 * need it with status `left_out`; without one of three_<pitch> or depthwise_general it takes another loop, with equal results, and
 * scratch is the same.
 */
#ifndef ES_PARTS_H
#define ES_PARTS_H

/* The record SPARSIFY. */
#ifndef ES_HAS_sparsify
#define ES_HAS_sparsify 1
#endif

/* CONV_2D whose positions have classes (es_classes.h). */
#ifndef ES_HAS_classes
#define ES_HAS_classes 1
#endif

/* DEPTHWISE_CONV_2D of a single window (es_depthwise_is_window). */
#ifndef ES_HAS_depthwise_window
#define ES_HAS_depthwise_window 1
#endif

/* Its loop for filters other than 3 x 3. */
#ifndef ES_HAS_depthwise_general
#define ES_HAS_depthwise_general 1
#endif

/* Its 3 x 3 loops for a pitch, see ES_THREE_PITCHES. */
#ifndef ES_HAS_three_64
#define ES_HAS_three_64 1
#endif
#ifndef ES_HAS_three_128
#define ES_HAS_three_128 1
#endif
#ifndef ES_HAS_three_256
#define ES_HAS_three_256 1
#endif
#ifndef ES_HAS_three_512
#define ES_HAS_three_512 1
#endif
#ifndef ES_HAS_three_1008
#define ES_HAS_three_1008 1
#endif

#endif
