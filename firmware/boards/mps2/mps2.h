/* Boards of Arm's MPS2 family in QEMU: polled CMSDK UART, CMSDK timer as instruction counter. */
#ifndef ES_MPS2_H
#define ES_MPS2_H

#include <stdint.h>

/* Where a board of the family has what. Each board folder defines the one `es_mps2`. */
typedef struct {
    uint32_t uart_base;   /* CMSDK UART */
    uint32_t uart_rx_irq; /* its receive interrupt, below 32 */
    uint32_t timer_base;  /* CMSDK timer, clocked with 25 MHz */
} es_mps2_t;

extern const es_mps2_t es_mps2;

#endif
