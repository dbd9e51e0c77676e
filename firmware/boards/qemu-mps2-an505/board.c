#include "mps2.h"

const es_mps2_t es_mps2 = {
    .uart_base = 0x50200000u,
    .uart_rx_irq = 32,
    .counter_base = 0x50000000u,
    .instructions = 25,
    .ticks_log2 = 5,
};
