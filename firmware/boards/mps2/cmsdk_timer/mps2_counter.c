/* The CMSDK timer (Arm DDI 0479) as counter. It counts down. */
#include "mps2.h"

typedef struct {
    uint32_t ctrl;
    uint32_t value;
    uint32_t reload;
} timer_t;

#define TIMER_CTRL_ON 1u

static volatile timer_t *timer(void) { return (volatile timer_t *)(uintptr_t)es_mps2.counter_base; }

void es_mps2_counter_stop(void) { timer()->ctrl = 0; }

void es_mps2_counter_start(void) {
    timer()->ctrl = 0;
    timer()->reload = UINT32_MAX;
    timer()->value = UINT32_MAX;
    timer()->ctrl = TIMER_CTRL_ON;
}

uint32_t es_mps2_counter_ticks(void) { return UINT32_MAX - timer()->value; }
