#include "es_port_native.h"

#include <stdlib.h>
#include <string.h>

#include "es.h"
#include "es_port.h"

/* Bytes in order, growing at the end, taken from the start. */
typedef struct {
    uint8_t *data;
    size_t start;
    size_t end;
    size_t capacity;
} queue_t;

static struct {
    es_port_info_t info;
    uint8_t *model;
    queue_t to_device;
    queue_t to_host;
    size_t line_bytes; /* that wait for the host at most */
    bool reset_wanted;
    bool idled;
} port;

static bool queue_put(queue_t *queue, const uint8_t *data, size_t bytes) {
    if (bytes == 0) {
        return true;
    }
    if (queue->start == queue->end) {
        queue->start = queue->end = 0;
    }
    if (bytes > queue->capacity - queue->end) {
        const size_t capacity = 2 * queue->capacity + bytes + 4096;
        uint8_t *grown = realloc(queue->data, capacity);
        if (grown == NULL) {
            return false;
        }
        queue->data = grown;
        queue->capacity = capacity;
    }
    memcpy(queue->data + queue->end, data, bytes);
    queue->end += bytes;
    return true;
}

static uint32_t queue_take(queue_t *queue, uint8_t *data, size_t capacity) {
    const size_t there = queue->end - queue->start;
    const size_t bytes = there < capacity ? there : capacity;
    if (bytes > 0) {
        memcpy(data, queue->data + queue->start, bytes);
        queue->start += bytes;
    }
    return (uint32_t)bytes;
}

/* aligned_alloc wants a multiple of the alignment; never returns a block of 0 bytes. */
static uint8_t *copy_aligned(const uint8_t *data, uint32_t bytes, uint32_t capacity) {
    uint8_t *block = aligned_alloc(ES_IMAGE_ALIGN, ((size_t)capacity / ES_IMAGE_ALIGN + 1) * ES_IMAGE_ALIGN);
    if (block != NULL) {
        memset(block, 0, capacity);
        if (bytes > 0) {
            memcpy(block, data, bytes);
        }
    }
    return block;
}

bool es_port_native_open(const uint8_t *image, uint32_t image_bytes, const uint8_t *batch, uint32_t batch_bytes,
                         uint32_t arena_bytes) {
    es_port_native_close();
    port.model = copy_aligned(image, image_bytes, image_bytes);
    uint8_t *arena = copy_aligned(NULL, 0, arena_bytes);
    uint8_t *rows = copy_aligned(batch, batch_bytes, batch_bytes);
    port.info = (es_port_info_t){.board = "native",
                                 .cpu = "host",
                                 .model = port.model,
                                 .model_bytes = image_bytes,
                                 .arena = {arena, arena_bytes},
                                 .batch = {rows, batch_bytes},
                                 .unit = ES_UNIT_none,
                                 .isa = ES_ISA_armv8m_main_dsp, /* includes all others: here all is plain C */
                                 .reset_reason = ES_RESET_power_on};
    port.line_bytes = SIZE_MAX;
    return port.model != NULL && arena != NULL && rows != NULL;
}

void es_port_native_close(void) {
    free(port.model);
    free(port.info.arena.base);
    free(port.info.batch.base);
    free(port.to_device.data);
    free(port.to_host.data);
    memset(&port, 0, sizeof(port));
}

bool es_port_native_feed(const uint8_t *data, uint32_t bytes) { return queue_put(&port.to_device, data, bytes); }

void es_port_native_narrow(uint32_t line_bytes) { port.line_bytes = line_bytes; }

uint32_t es_port_native_take(uint8_t *data, uint32_t capacity) { return queue_take(&port.to_host, data, capacity); }

bool es_port_native_reset_wanted(void) {
    const bool wanted = port.reset_wanted;
    port.reset_wanted = false;
    return wanted;
}

bool es_port_native_idled(void) {
    const bool idled = port.idled;
    port.idled = false;
    return idled;
}

const es_port_info_t *es_port_init(void) {
    port.info.boot_count++;
    return &port.info;
}

uint32_t es_port_write(const uint8_t *data, uint32_t bytes) {
    const size_t waiting = port.to_host.end - port.to_host.start;
    const size_t room = waiting < port.line_bytes ? port.line_bytes - waiting : 0;
    const uint32_t taken = bytes < room ? bytes : (uint32_t)room;
    if (!queue_put(&port.to_host, data, taken)) {
        abort(); /* out of memory: the contract says that nothing is dropped */
    }
    return taken;
}

uint32_t es_port_read(uint8_t *data, uint32_t capacity_bytes) {
    return queue_take(&port.to_device, data, capacity_bytes);
}

void es_port_ticks_start(void) {}

uint64_t es_port_ticks(void) { return 0; }

void es_port_idle(void) { port.idled = true; }

void es_port_reset(void) {
    port.info.reset_reason = ES_RESET_software;
    port.reset_wanted = true;
}
