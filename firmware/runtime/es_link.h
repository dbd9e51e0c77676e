/* The sending end of the link: whole records into a ring, from there to the port as it takes them.
 *
 * A patient link waits for room, so that nothing is left out. Any other leaves out a record for which there is no room,
 * whole, and counts it.
 */
#ifndef ES_LINK_H
#define ES_LINK_H

#include "es_frame.h"

#define ES_LINK_RING_BYTES 3840u

/* Bytes that the port has not taken yet. Zero-initialise. */
typedef struct {
    uint32_t start; /* of the bytes that wait, below ES_LINK_RING_BYTES */
    uint32_t used;
    uint8_t bytes[ES_LINK_RING_BYTES];
} es_ring_t;

/* How many bytes may be sent by now, in bytes times the ticks of a second. It grows with time, up to a full ring. */
typedef struct {
    uint32_t bytes_per_second; /* 0: as many as the line takes */
    uint64_t tick_rate_hz;
    int64_t credit; /* negative: so much was sent too early */
} es_rate_t;

/* Zero-initialise, then give it a ring. */
typedef struct {
    es_ring_t *ring; /* NULL: build frames with headers of zeros, and only add them up */
    es_rate_t rate;
    uint32_t boot_id;
    uint32_t unsent; /* records left out since start */
    uint32_t made;   /* records and bytes on the wire, of a link without ring */
    uint32_t made_bytes;
    uint16_t sequence;
    bool patient;
} es_link_t;

/* Sends one record: its struct, and `tail_bytes` bytes after it. Together at most ES_PAYLOAD_MAX. */
void es_send(es_link_t *link, uint8_t type, const void *record, uint32_t record_bytes, const void *tail,
             uint32_t tail_bytes);

/* Gives the port what it takes. Returns whether bytes are left. Never waits. */
bool es_link_drain(es_link_t *link);

/* Waits until the port has taken all. */
void es_link_flush(es_link_t *link);

/* Starts to keep to a rate (0: none), with the whole allowance. */
void es_rate_start(es_rate_t *rate, uint32_t bytes_per_second, uint64_t tick_rate_hz);

/* Adds what `ticks` more ticks allow. */
void es_rate_earn(es_rate_t *rate, uint64_t ticks);

/* Whether `bytes` bytes may be sent together: rate and room allow them, or as much of them as ever fits. */
bool es_link_allows(const es_link_t *link, uint32_t bytes);

#endif
