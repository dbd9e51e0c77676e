#include "mps2.h"

const es_mps2_t es_mps2 = {
    .uart_base = 0x59303000u,
    .uart_rx_irq = 33,
    .counter_base = 0x58100000u,
    .instructions = 125,
    .ticks_log2 = 8,
};
