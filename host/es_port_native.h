/* The host port's own interface: what stands where a board has flash, RAM and a serial line. */
#ifndef ES_PORT_NATIVE_H
#define ES_PORT_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

/* Gives the port memory with these contents. False without memory. */
bool es_port_native_open(const uint8_t *image, uint32_t image_bytes, const uint8_t *batch, uint32_t batch_bytes,
                         uint32_t arena_bytes);
void es_port_native_close(void);

/* The other end of the serial line. */
bool es_port_native_feed(const uint8_t *data, uint32_t bytes);
uint32_t es_port_native_take(uint8_t *data, uint32_t capacity);

/* Lets the line take no more than `line_bytes` bytes that nobody has taken yet; at first it takes any number. */
void es_port_native_narrow(uint32_t line_bytes);

/* True once after es_port_reset(): the application is to be started again. */
bool es_port_native_reset_wanted(void);

/* True once after es_port_idle(): a board would be asleep until a byte arrives. */
bool es_port_native_idled(void);

#endif
