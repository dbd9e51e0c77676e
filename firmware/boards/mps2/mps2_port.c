#include "mps2.h"

#include "cortex_m.h"
#include "es.h"

/* CMSDK UART, as in Arm DDI 0479. */
typedef struct {
    uint32_t data;
    uint32_t state;
    uint32_t ctrl;
    uint32_t int_status;
    uint32_t baud_div;
} uart_t;

#define UART_STATE_TX_FULL 1u
#define UART_STATE_RX_FULL 2u
#define UART_CTRL_ON 11u /* transmit, receive, interrupt on receive */
#define UART_INT_RX 2u
#define UART_BAUD_DIV_MIN 16u /* QEMU has no bit times */

#define INSTRUCTIONS_PER_SECOND 15625000u /* with -icount shift=6 */

static es_port_info_t info;
static uint64_t counted;    /* instructions up to the last start of the counter */
static uint64_t ticks;      /* of the counter since then, as of the last reading */
static uint32_t last_ticks; /* the same, modulo 2^32 */

static volatile uart_t *uart(void) { return (volatile uart_t *)(uintptr_t)es_mps2.uart_base; }

static void start_counter(uint64_t instructions) {
    counted = instructions;
    ticks = 0;
    last_ticks = 0;
    es_mps2_counter_start();
}

const es_port_info_t *es_port_init(void) {
    uart()->baud_div = UART_BAUD_DIV_MIN;
    uart()->ctrl = UART_CTRL_ON;
    es_cortex_m_describe(&info);
    info.unit = ES_UNIT_instructions;
    info.tick_rate_hz = INSTRUCTIONS_PER_SECOND;
    es_port_ticks_start();
    return &info;
}

uint32_t es_port_write(const uint8_t *data, uint32_t bytes) {
    uint32_t taken = 0;
    while (taken < bytes && (uart()->state & UART_STATE_TX_FULL) == 0) {
        uart()->data = data[taken++];
    }
    return taken;
}

uint32_t es_port_read(uint8_t *data, uint32_t capacity_bytes) {
    uint32_t bytes = 0;
    uart()->int_status = UART_INT_RX; /* before looking: a byte that comes later raises it again */
    while (bytes < capacity_bytes && (uart()->state & UART_STATE_RX_FULL) != 0) {
        data[bytes++] = (uint8_t)uart()->data;
    }
    return bytes;
}

void es_port_ticks_start(void) { start_counter(0); }

/* With t = 2^ticks_log2 and i = instructions, the counter has made floor(n * t / i) ticks n instructions after its
 * start. t >= i, so no two n give the same, and n is the ceiling of ticks * i / t. Exact as long as it is taken of the
 * whole time since the start, never of a difference. No branch: each call costs the same, so that the cost of two
 * readings cancels or can be measured once.
 */
uint64_t es_port_ticks(void) {
    const uint32_t now = es_mps2_counter_ticks();
    ticks += (uint32_t)(now - last_ticks);
    last_ticks = now;
    const uint32_t round_up = (1u << es_mps2.ticks_log2) - 1u;
    return counted + ((es_mps2.instructions * ticks + round_up) >> es_mps2.ticks_log2);
}

/* Asleep, QEMU's clock leaves the grid of 64 ns, so the count starts the counter anew from where it was. It stands
 * still meanwhile: a running CMSDK timer would have QEMU jump from expiry to expiry, at the price of a whole host core.
 */
void es_port_idle(void) {
    const uint64_t instructions = es_port_ticks();
    es_mps2_counter_stop();
    es_cortex_m_wait_irq(es_mps2.uart_rx_irq);
    start_counter(instructions);
}

void es_port_reset(void) {
    while ((uart()->state & UART_STATE_TX_FULL) != 0) {
    }
    es_cortex_m_reset();
}
