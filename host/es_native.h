/* What Python sees of the runtime: tables, checks, and the application in this process.
 *
 * cffi reads this header, so it holds plain declarations only.
 */
#ifndef ES_NATIVE_H
#define ES_NATIVE_H

#include <stdint.h>

/* One row of a .def table of ids. Columns a table does not have are "". */
typedef struct {
    const char *table; /* "status", "op", "kernel", "encoding", ... */
    const char *name;
    int32_t id;
    const char *columns[3]; /* op: tflite, params. kernel: op, encoding, isa. isa: includes. record: direction, tail. */
    const char *doc;
} es_native_row_t;

/* One field of a struct that image or wire carry. */
typedef struct {
    const char *owner; /* struct's name, without es_ and _t */
    const char *name;
    const char *type; /* u8 i8 u16 i16 u32 i32 u64 f32 */
    uint32_t count;   /* elements of an array; 0 for a single value */
    uint32_t offset;  /* bytes from the start of the struct */
    uint32_t owner_bytes;
    const char *doc;
} es_native_field_t;

/* All rows, all fields. */
const es_native_row_t *es_native_rows(uint32_t *count);
const es_native_field_t *es_native_fields(uint32_t *count);

/* CRC-32 of the .def tables and hash of the sources that this module was built from. */
uint32_t es_native_tables_crc(void);
const uint8_t *es_native_build_id(void);

/* Scratch that a kernel needs with a parameter struct of `bytes` bytes; UINT32_MAX if id or size are wrong. */
uint32_t es_native_scratch_bytes(uint16_t kernel, const uint8_t *params, uint32_t bytes);

/* es_depthwise_pitch_bytes; UINT32_MAX where `bytes` is no conv_params. */
uint32_t es_native_pitch_bytes(const uint8_t *params, uint32_t bytes);

/* Loads an image as a device would. macs_done: one value a node, at most `capacity`; may be NULL.
 * Returns a row of status.def; section and offset tell where.
 */
int32_t es_native_check(const uint8_t *image, uint32_t bytes, uint32_t arena_bytes, uint16_t isa, uint32_t *section,
                        uint32_t *offset, uint64_t *macs_done, uint32_t capacity);

/* Runs an image on `rows` rows, in order, from the reset state. in, out: the bytes of every model input and output, row by
 * row; their sizes must be exactly that. zeros: NULL, or [rows, nodes], filled with the zeros that each node's outputs had.
 * Returns a row of status.def. Keeps nothing: several threads may be in it at once, with or without the application below.
 */
int32_t es_native_run_rows(const uint8_t *image, uint32_t bytes, uint32_t rows, const uint8_t *in, uint64_t in_bytes,
                           uint8_t *out, uint64_t out_bytes, uint32_t *zeros, uint64_t zeros_count);

/* expf and tanhf of this machine's C library: TFLite's LOGISTIC and TANH take their tables from the same functions, whose
 * last bit differs between libraries.
 */
float es_native_expf(float x);
float es_native_tanhf(float x);

/* Frames of `bytes` received bytes, each as u32 length, header, payload. Returns the bytes written to `out`
 * (`capacity` at least 2 * bytes + 16); `dropped` counts the frames thrown away.
 */
uint32_t es_native_decode(const uint8_t *data, uint32_t bytes, uint8_t *out, uint32_t capacity, uint32_t *dropped);

/* One frame of a header (8 bytes) and a payload. Returns the bytes written to `wire` (capacity 271). */
uint32_t es_native_encode(const uint8_t *header, const uint8_t *payload, uint32_t payload_bytes, uint8_t *wire);

/* The application in this process. start: power-on with an image and a batch of input rows (copied); 0, or -1
 * without memory. feed: bytes from the host. poll: one turn of the main loop, 1 if it ended asleep. take: bytes to the host. narrow: from now on
 * the line takes no more than so many bytes that were not taken.
 */
int32_t es_native_start(const uint8_t *image, uint32_t image_bytes, const uint8_t *batch, uint32_t batch_bytes,
                        uint32_t arena_bytes);
int32_t es_native_feed(const uint8_t *data, uint32_t bytes);
int32_t es_native_poll(void);
uint32_t es_native_take(uint8_t *data, uint32_t capacity);
void es_native_narrow(uint32_t line_bytes);
void es_native_stop(void);

#endif
