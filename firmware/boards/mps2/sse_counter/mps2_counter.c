/* The system counter of an SSE-300 subsystem (Arm 101773), through its control frame. */
#include "mps2.h"

typedef struct {
    uint32_t ctrl;
    uint32_t status;
    uint32_t value_low;
    uint32_t value_high;
} counter_t;

#define COUNTER_CTRL_ON 1u

static volatile counter_t *counter(void) { return (volatile counter_t *)(uintptr_t)es_mps2.counter_base; }

void es_mps2_counter_stop(void) { counter()->ctrl = 0; }

void es_mps2_counter_start(void) {
    counter()->ctrl = 0;
    counter()->value_low = 0;
    counter()->value_high = 0;
    counter()->ctrl = COUNTER_CTRL_ON;
}

uint32_t es_mps2_counter_ticks(void) { return counter()->value_low; }
