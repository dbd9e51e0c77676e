#include "mps2.h"

#include "cortex_m.h"
#include "es.h"

/* CMSDK UART and timer, as in Arm DDI 0479. */
typedef struct {
    uint32_t data;
    uint32_t state;
    uint32_t ctrl;
    uint32_t int_status;
    uint32_t baud_div;
} uart_t;

typedef struct {
    uint32_t ctrl;
    uint32_t value;
    uint32_t reload;
} timer_t;

#define UART_STATE_TX_FULL 1u
#define UART_STATE_RX_FULL 2u
#define UART_CTRL_ON 11u /* transmit, receive, interrupt on receive */
#define UART_INT_RX 2u
#define UART_BAUD_DIV_MIN 16u /* QEMU has no bit times */
#define TIMER_CTRL_ON 1u

/* With -icount shift=6 an instruction takes 64 ns and a tick of the 25 MHz timer 40 ns. */
#define INSTRUCTIONS_PER_SECOND 15625000u

static es_port_info_t info;
static uint64_t counted;    /* instructions up to the last start of the timer */
static uint64_t ticks;      /* of the timer since then, as of the last reading */
static uint32_t last_value; /* of the timer, which counts down */

static volatile uart_t *uart(void) { return (volatile uart_t *)(uintptr_t)es_mps2.uart_base; }

static volatile timer_t *timer(void) { return (volatile timer_t *)(uintptr_t)es_mps2.timer_base; }

static void start_timer(uint64_t instructions) {
    timer()->ctrl = 0;
    timer()->reload = UINT32_MAX;
    timer()->value = UINT32_MAX;
    counted = instructions;
    ticks = 0;
    last_value = UINT32_MAX;
    timer()->ctrl = TIMER_CTRL_ON;
}

const es_port_info_t *es_port_init(void) {
    uart()->baud_div = UART_BAUD_DIV_MIN;
    uart()->ctrl = UART_CTRL_ON;
    (void)uart()->data; /* has QEMU look for input at once instead of within a second */
    es_cortex_m_describe(&info);
    info.unit = ES_UNIT_instructions;
    info.tick_rate_hz = INSTRUCTIONS_PER_SECOND;
    es_port_ticks_start();
    return &info;
}

void es_port_write(const uint8_t *data, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        while ((uart()->state & UART_STATE_TX_FULL) != 0) {
        }
        uart()->data = data[i];
    }
}

uint32_t es_port_read(uint8_t *data, uint32_t capacity_bytes) {
    uint32_t bytes = 0;
    uart()->int_status = UART_INT_RX; /* before looking: a byte that comes later raises it again */
    while (bytes < capacity_bytes && (uart()->state & UART_STATE_RX_FULL) != 0) {
        data[bytes++] = (uint8_t)uart()->data;
    }
    return bytes;
}

void es_port_ticks_start(void) { start_timer(0); }

/* n instructions after its start the timer has made floor(8 n / 5) ticks, so n is the ceiling of 5/8 of them. Exact
 * as long as it is taken of the whole time since the start, never of a difference. No branch: each call costs the
 * same, so that the cost of two readings cancels or can be measured once.
 */
uint64_t es_port_ticks(void) {
    const uint32_t value = timer()->value;
    ticks += (uint32_t)(last_value - value);
    last_value = value;
    return counted + ((5u * ticks + 7u) >> 3);
}

/* Asleep, QEMU's clock leaves the grid of 64 ns, so the count starts a new timer from where it was. The timer stands
 * still meanwhile: a running one would have QEMU jump from expiry to expiry, at the price of a whole host core.
 */
void es_port_idle(void) {
    const uint64_t instructions = es_port_ticks();
    timer()->ctrl = 0;
    es_cortex_m_wait_irq(es_mps2.uart_rx_irq);
    start_timer(instructions);
}
