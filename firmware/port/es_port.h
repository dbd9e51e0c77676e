/* The platform contract: all that the runtime and the application ask of a target.
 *
 * Every board folder, and the host port, implements each function once. None allocates, and none is called
 * while an inference is being counted, but es_port_ticks().
 */
#ifndef ES_PORT_H
#define ES_PORT_H

#include <stdint.h>

/* A block of memory. `base` may be NULL if `bytes` is 0. */
typedef struct {
    uint8_t *base;
    uint32_t bytes;
} es_region_t;

/* What a target is. Filled once, in es_port_init(), constant afterwards. */
typedef struct {
    const char *board;    /* name of the board's folder, at most 23 characters */
    const char *cpu;      /* for instance "cortex-m4", at most 15 characters */
    const uint8_t *model; /* model partition, read only, 16-byte aligned */
    uint32_t model_bytes; /* size of the model partition */
    es_region_t arena;    /* RAM for tensors and scratch, 16-byte aligned */
    es_region_t batch;    /* where a loader may place input rows, 4-byte aligned; bytes 0 if there is none */
    es_region_t stack; /* painted (es_paint.h) where it was free at the start; bytes 0 if the port does not know it */
    uint64_t tick_rate_hz; /* of es_port_ticks(); 0 without a time base */
    uint16_t boot_count;   /* starts since power-on, kept in RAM that survives reset; 1 for the first */
    uint8_t unit;          /* what es_port_ticks() counts, a row of units.def */
    uint8_t isa;           /* instruction set of this build, a row of isas.def */
    uint8_t reset_reason;  /* why it started, a row of reset_reasons.def */
} es_port_info_t;

/* Brings up clock, memory, time base and serial line. Call once, first. Returns the description, never NULL. */
const es_port_info_t *es_port_init(void);

/* Gives the serial line as many of `bytes` bytes as it takes at once. Returns how many; never waits, and drops none. */
uint32_t es_port_write(const uint8_t *data, uint32_t bytes);

/* Takes up to `capacity_bytes` received bytes. Returns how many, 0 if none are there; never waits. */
uint32_t es_port_read(uint8_t *data, uint32_t capacity_bytes);

/* Restarts the time base at 0. */
void es_port_ticks_start(void);

/* Units (instructions or cycles) since es_port_ticks_start(), 64 bits wide; 0 without a time base.
 * Must be called at least once in 2^32 ticks of the underlying counter.
 */
uint64_t es_port_ticks(void);

/* Nothing to do until a byte arrives: sleep, yield or return at once. */
void es_port_idle(void);

/* Restarts the processor once all bytes that es_port_write() took have left. Does not return on silicon; on the host the application starts again. */
void es_port_reset(void);

/* Called by the fault handler and by nobody else: what the processor said.
 * Implemented by the application (it sends a FAULT record), called by the port. Does not return.
 */
void es_app_fault(uint32_t detail, uint32_t pc, uint32_t lr);

#endif
