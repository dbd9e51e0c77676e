/* Types that kernels, runtime and image format share.
 *
 * The parameter structs are written once, in tables/params.def; this header makes C structs of them, the host
 * reads the same rows through the native module. They are used in place from flash: little-endian, naturally
 * aligned, without hidden padding.
 */
#ifndef ES_TYPES_H
#define ES_TYPES_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t es_u8_t;
typedef int8_t es_i8_t;
typedef uint16_t es_u16_t;
typedef int16_t es_i16_t;
typedef uint32_t es_u32_t;
typedef int32_t es_i32_t;
typedef uint64_t es_u64_t;
typedef float es_f32_t;

#include "es_structs_begin.h"

#include "params.def"

#include "es_structs_end.h"

/* The most classes of output positions, see conv_params. */
#define ES_CLASSES_MAX 32

/* Ids of encodings, kernels and instruction sets, one constant a row. */
enum {
#define ES_ENCODING(id, name, doc) ES_ENCODING_##name = (id),
#include "encodings.def"
#undef ES_ENCODING
#define ES_KERNEL(id, op, encoding, isa, name, doc) ES_KERNEL_##name = (id),
#include "kernels.def"
#undef ES_KERNEL
#define ES_ISA(id, name, includes, doc) ES_ISA_##name = (id),
#include "isas.def"
#undef ES_ISA
};

#endif
