#include "es_link.h"

#include <string.h>

#include "es_port.h"

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

bool es_link_drain(es_link_t *link) {
    es_ring_t *ring = link->ring;
    uint32_t taken = 1;
    while (ring->used > 0 && taken > 0) {
        taken = es_port_write(&ring->bytes[ring->start], smaller(ring->used, ES_LINK_RING_BYTES - ring->start));
        ring->start = (ring->start + taken) % ES_LINK_RING_BYTES;
        ring->used -= taken;
    }
    return ring->used > 0;
}

void es_link_flush(es_link_t *link) {
    while (es_link_drain(link)) {
    }
}

static void push(es_ring_t *ring, const uint8_t *data, uint32_t bytes) {
    const uint32_t at = (ring->start + ring->used) % ES_LINK_RING_BYTES;
    const uint32_t first = smaller(bytes, ES_LINK_RING_BYTES - at);
    memcpy(&ring->bytes[at], data, first);
    memcpy(ring->bytes, data + first, bytes - first);
    ring->used += bytes;
}

void es_send(es_link_t *link, uint8_t type, const void *record, uint32_t record_bytes, const void *tail,
             uint32_t tail_bytes) {
    uint8_t wire[ES_FRAME_WIRE_MAX + 1u];
    const es_frame_header_t header = {.type = type, .sequence = link->sequence, .boot_id = link->boot_id};
    const uint32_t bytes = es_frame_build(wire, &header, record, record_bytes, tail, tail_bytes);
    if (link->ring == NULL) {
        link->made++;
        link->made_bytes += bytes;
        return;
    }
    while (ES_LINK_RING_BYTES - link->ring->used < bytes && es_link_drain(link) && link->patient) {
    }
    if (ES_LINK_RING_BYTES - link->ring->used < bytes) {
        link->unsent++;
        return;
    }
    link->sequence++;
    if (link->rate.bytes_per_second != 0) {
        link->rate.credit -= (int64_t)(bytes * link->rate.tick_rate_hz);
    }
    push(link->ring, wire, bytes);
    (void)es_link_drain(link);
}

static int64_t allowance(const es_rate_t *rate) { return (int64_t)(ES_LINK_RING_BYTES * rate->tick_rate_hz); }

void es_rate_start(es_rate_t *rate, uint32_t bytes_per_second, uint64_t tick_rate_hz) {
    rate->bytes_per_second = bytes_per_second;
    rate->tick_rate_hz = tick_rate_hz;
    rate->credit = allowance(rate);
}

void es_rate_earn(es_rate_t *rate, uint64_t ticks) {
    const uint64_t short_of = (uint64_t)(allowance(rate) - rate->credit);
    /* What 2^32 ticks allow is enough at any time; so the product stays within 64 bits. */
    const uint64_t earned = (ticks < UINT32_MAX ? ticks : UINT32_MAX) * rate->bytes_per_second;
    rate->credit += (int64_t)(earned < short_of ? earned : short_of);
}

bool es_link_allows(const es_link_t *link, uint32_t bytes) {
    const uint32_t together = smaller(bytes, ES_LINK_RING_BYTES);
    const bool in_rate =
        link->rate.bytes_per_second == 0 || link->rate.credit >= (int64_t)(together * link->rate.tick_rate_hz);
    return in_rate && ES_LINK_RING_BYTES - link->ring->used >= together;
}
