#include "mps2.h"

const es_mps2_t es_mps2 = {
    .uart_base = 0x40004000u,
    .uart_rx_irq = 0,
    .counter_base = 0x40000000u,
    .instructions = 5,
    .ticks_log2 = 3,
};
