/* Boards of Arm's MPS2 and MPS3 families in QEMU: polled CMSDK UART, and a counter that tells instructions.
 *
 * A board's folder defines the one `es_mps2`; its board.json names the folder with the counter that it has:
 * mps2/cmsdk_timer or mps2/sse_counter.
 */
#ifndef ES_MPS2_H
#define ES_MPS2_H

#include <stdint.h>

/* Where a board of the family has what, and how fast its counter is: with -icount shift=6 an instruction takes 64 ns,
 * which is 2^ticks_log2 / instructions ticks, at least one. 25 MHz: 8/5, 20 MHz: 32/25, 32 MHz: 256/125.
 */
typedef struct {
    uint32_t uart_base;    /* CMSDK UART */
    uint32_t uart_rx_irq;  /* its receive interrupt */
    uint32_t counter_base; /* CMSDK timer, or control frame of the SSE system counter */
    uint32_t instructions; /* in 2^ticks_log2 ticks of the counter */
    uint32_t ticks_log2;   /* below 32 */
} es_mps2_t;

extern const es_mps2_t es_mps2;

/* Starts the counter anew, at 0. */
void es_mps2_counter_start(void);

/* Keeps the counter from running until it is started again. */
void es_mps2_counter_stop(void);

/* Ticks since the start, modulo 2^32. Takes the same number of instructions each time. */
uint32_t es_mps2_counter_ticks(void);

#endif
