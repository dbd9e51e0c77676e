/* Stands in for the application: answers one-letter commands with lines of text, to test a board's port alone. */
#include <stdbool.h>
#include <string.h>

#include "es_paint.h"
#include "es_port.h"

#define ECHO 'e' /* all that follows is sent back */

static const es_port_info_t *info;
static bool goes_on; /* after a fault, as the application does */

static void send(const uint8_t *data, uint32_t bytes) {
    for (uint32_t sent = 0; sent < bytes;) {
        sent += es_port_write(data + sent, bytes - sent);
    }
}

static void send_text(const char *text) { send((const uint8_t *)text, (uint32_t)strlen(text)); }

static void send_number(uint64_t value) {
    char digits[24];
    uint32_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    send_text(&digits[at]);
    send_text(" ");
}

static void send_address(const void *address) { send_number((uintptr_t)address); }

void es_app_fault(uint32_t detail, uint32_t pc, uint32_t lr) {
    send_text("fault ");
    send_number(detail);
    send_number(pc);
    send_number(lr);
    send_text("\n");
    if (goes_on) {
        return;
    }
    for (;;) {
        es_port_idle();
    }
}

__attribute__((noinline)) static void thousand_nops(void) { __asm volatile(".rept 1000\nnop\n.endr"); }

/* 2 * turns instructions, and a constant number around them. */
__attribute__((noinline)) static void loop(uint32_t turns) {
    __asm volatile("1: subs %0, #1\nbne 1b" : "+r"(turns)::"cc");
}

/* What the 1000 NOPs and their call and return cost, without the cost of the readings. */
static uint64_t count_nops(void) {
    const uint64_t a = es_port_ticks();
    const uint64_t b = es_port_ticks();
    thousand_nops();
    const uint64_t c = es_port_ticks();
    return (c - b) - (b - a);
}

/* Not part of its callers: these would load `turns` with more or fewer instructions. */
__attribute__((noinline)) static uint64_t count_loop(uint32_t turns) {
    const uint64_t before = es_port_ticks();
    loop(turns);
    return es_port_ticks() - before;
}

static void send_info(void) {
    send_text(info->board);
    send_text(" ");
    send_text(info->cpu);
    send_text(" ");
    send_address(info->model);
    send_number(info->model_bytes);
    send_address(info->arena.base);
    send_number(info->arena.bytes);
    send_address(info->batch.base);
    send_number(info->batch.bytes);
    send_number(info->tick_rate_hz);
    send_number(info->boot_count);
    send_number(info->unit);
    send_number(info->isa);
}

/* Smallest and largest count in 2000 readings, at shifting distances from the start of the counter. */
static void send_phases(void) {
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        loop(1 + i % 37);
        const uint64_t count = count_nops();
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    send_number(least);
    send_number(most);
}

static void send_loops(void) {
    static const uint32_t turns[] = {1, 10, 1000, 100001, 20000000};
    for (uint32_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
        send_number(count_loop(turns[i]) - 2u * turns[i]);
    }
}

/* 2.8e9 instructions, more than a 32-bit counter of 1.6 ticks or more an instruction counts. */
static void send_long_run(void) {
    const uint64_t around = count_loop(1) - 2u;
    uint64_t loops = 0;
    for (uint32_t i = 0; i < 7; i++) {
        loops += count_loop(200000000u) - around;
    }
    send_number(loops);
    send_number(es_port_ticks());
}

__attribute__((noinline)) static uint32_t dig(uint32_t depth) {
    volatile uint8_t frame[256];
    frame[0] = (uint8_t)depth;
    return (depth == 0 ? 0 : dig(depth - 1)) + frame[0];
}

__attribute__((noinline)) static void undefined(void) { __asm volatile("udf #0"); }

static void echo(void) {
    uint8_t data[64];
    for (;;) {
        send(data, es_port_read(data, sizeof(data)));
    }
}

static void answer(uint8_t command) {
    switch (command) {
        case 'i':
            send_info();
            break;
        case 'm':
            send_number(info->model[0]);
            if (info->batch.bytes > 0) {
                send_number(info->batch.base[0]);
            }
            break;
        case 'w': /* marks RAM, to see what a reset leaves */
            info->arena.base[0] = 123;
            break;
        case 'a':
            send_number(info->arena.base[0]);
            break;
        case 's':
            es_port_ticks_start();
            break;
        case 'n':
            send_number(count_nops());
            break;
        case 'p':
            send_phases();
            break;
        case 'l':
            send_loops();
            break;
        case 'L':
            send_long_run();
            break;
        case 'd':
            send_number(dig(1000));
            break;
        case 'u':
            undefined();
            break;
        case 'U':
            goes_on = true;
            undefined();
            break;
        case 'h':
            send_number(info->stack.bytes);
            send_number(info->stack.bytes - es_painted_until(info->stack.base, info->stack.bytes));
            break;
        case 'D':
            send_number(dig(8));
            break;
        case 'b':
            send_number(info->reset_reason);
            break;
        case 'r':
            es_port_reset();
            break;
        case ECHO:
            echo();
            break;
        default:
            send_text("unknown");
            break;
    }
    send_text("\n");
}

int main(void) {
    info = es_port_init();
    send_text("start\n");
    for (;;) {
        uint8_t command;
        if (es_port_read(&command, 1) == 1) {
            answer(command);
        } else {
            es_port_idle();
        }
    }
}
