/* libFuzzer: any bytes on the serial line leave the application alive.
 *
 * The input is a sequence of records, each as length, type and payload, sent in good frames; a length of 255 sends
 * the rest as raw bytes. The device has an empty model partition or, where the first byte is odd, the image that
 * the environment variable ES_FUZZ_IMAGE names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "es_app.h"
#include "es_frame.h"
#include "es_port_native.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t image[65536];
static uint32_t image_bytes;

static void read_image(void) {
    const char *path = getenv("ES_FUZZ_IMAGE");
    FILE *file = path == NULL ? NULL : fopen(path, "rb");
    if (file != NULL) {
        image_bytes = (uint32_t)fread(image, 1, sizeof(image), file);
        fclose(file);
    }
}

/* Runs are cut to 3, or a fuzzer would only ever wait for four thousand million of them. */
static void send(uint8_t type, const uint8_t *payload, uint32_t bytes) {
    uint8_t wire[ES_FRAME_WIRE_MAX + 1u];
    uint8_t copy[ES_PAYLOAD_MAX];
    const es_frame_header_t header = {.type = type};
    memcpy(copy, payload, bytes);
    if (type == ES_RECORD_run && bytes == sizeof(es_run_t)) {
        memset(copy + offsetof(es_run_t, count) + 1, 0, 3);
        copy[offsetof(es_run_t, count)] &= 3u;
    }
    es_port_native_feed(wire, es_frame_build(wire, &header, copy, bytes, NULL, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t sink[65536];
    static const uint8_t rows[4096];
    if (image_bytes == 0) {
        read_image();
    }
    if (size == 0) {
        return 0;
    }
    const uint32_t used = (data[0] & 1u) != 0 ? image_bytes : 0;
    es_port_native_open(image, used, rows, sizeof(rows), 65536);
    es_app_init();
    for (size_t at = 1; at + 2 <= size;) {
        const uint32_t bytes = data[at];
        const uint8_t type = data[at + 1];
        at += 2;
        if (bytes == 255 || bytes > size - at) {
            es_port_native_feed(data + at, (uint32_t)(size - at));
            at = size;
        } else {
            send(type, data + at, bytes);
            at += bytes;
        }
        es_app_poll();
    }
    for (int i = 0; i < 4; i++) {
        es_app_poll();
    }
    while (es_port_native_take(sink, sizeof(sink)) > 0) {
    }
    es_port_native_close();
    return 0;
}
