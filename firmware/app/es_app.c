#include "es_app.h"

#include <string.h>

#include "es_build_id.h"
#include "es_sparsify.h"
#include "es_telemetry.h"

#define MAX_INPUTS 8u
#define FROM_LINK UINT32_MAX /* first_row of a RUN whose input came in INPUT records */

#define RUN_DUMP 1u
#define RUN_RESET_STATE 2u
#define RUN_NO_ZEROS 4u
#define RUN_COUNT_RECORDS 8u

static struct {
    const es_port_info_t *port;
    es_link_t link;
    es_frame_decoder_t decoder;
    es_model_t model;
    es_profile_t profile;
    es_status_t model_status;
    es_where_t where;
    uint32_t nonce;
    uint32_t received_bytes[MAX_INPUTS]; /* of the present input, by INPUT records */
    es_run_t job;                        /* what is left of the last RUN; count 0: nothing */
} app;

static void set_boot_id(uint32_t nonce) {
    app.nonce = nonce;
    app.link.boot_id = nonce << 16 | app.port->boot_count;
}

static void send_hello(void) {
    es_hello_t hello = {.protocol = ES_PROTOCOL,
                        .unit = app.port->unit,
                        .isa = app.port->isa,
                        .tables_crc = es_tables_crc,
                        .tick_rate_hz = app.port->tick_rate_hz,
                        .model_status = app.model_status,
                        .model_section = app.where.section,
                        .model_offset = app.where.offset,
                        .model_capacity_bytes = app.port->model_bytes,
                        .arena_capacity_bytes = app.port->arena.bytes,
                        .batch_capacity_bytes = app.port->batch.bytes,
                        .nonce = app.nonce};
    if (app.model_status == ES_STATUS_ok) {
        hello.model_crc = app.model.header->crc32;
        memcpy(hello.model_hash, app.model.header->model_hash, sizeof(hello.model_hash));
    }
    memcpy(hello.build_id, es_build_id, sizeof(hello.build_id));
    memcpy(hello.board, app.port->board, strlen(app.port->board));
    memcpy(hello.cpu, app.port->cpu, strlen(app.port->cpu));
    es_send(&app.link, ES_RECORD_hello, &hello, sizeof(hello), NULL, 0);
}

static es_limits_t limits(void) { return (es_limits_t){.arena_bytes = app.port->arena.bytes, .isa = app.port->isa}; }

/* A partition without the magic number is empty, not broken: HELLO then says no_model. */
static void load_model(void) {
    const es_limits_t offer = limits();
    app.model_status = es_model_load(&app.model, app.port->model, app.port->model_bytes, &offer, &app.where);
    if (app.model_status == ES_STATUS_ok && app.model.input_count > MAX_INPUTS) {
        app.model_status = ES_STATUS_too_many;
    }
    if (app.model_status == ES_STATUS_bad_magic) {
        app.model_status = ES_STATUS_no_model;
    }
    if (app.model_status == ES_STATUS_ok) {
        es_exec_reset(&app.model, app.port->arena.base);
    }
}

static const es_tensor_t *input_tensor(uint32_t i) { return &app.model.tensors[app.model.inputs[i]]; }

static es_status_t on_ping(const es_frame_t *frame) {
    es_ping_t ping;
    memcpy(&ping, frame->payload, sizeof(ping));
    set_boot_id(ping.nonce);
    send_hello();
    return ES_STATUS_ok;
}

static es_status_t on_run(const es_frame_t *frame) {
    if (app.model_status != ES_STATUS_ok) {
        return app.model_status;
    }
    if (app.job.count > 0) {
        return ES_STATUS_bad_record;
    }
    memcpy(&app.job, frame->payload, sizeof(app.job));
    return ES_STATUS_ok;
}

/* Pieces of an input come in order; offset 0 starts it anew. */
static es_status_t on_input(const es_frame_t *frame) {
    es_input_t head;
    memcpy(&head, frame->payload, sizeof(head));
    const uint32_t bytes = frame->payload_bytes - (uint32_t)sizeof(head);
    if (app.model_status != ES_STATUS_ok) {
        return app.model_status;
    }
    if (app.job.count > 0 || head.index >= app.model.input_count) {
        return ES_STATUS_bad_input;
    }
    const es_tensor_t *t = input_tensor(head.index);
    uint32_t *received = &app.received_bytes[head.index];
    if (head.offset == 0) {
        *received = 0;
    }
    if (head.offset != *received || bytes > t->bytes - *received) {
        return ES_STATUS_bad_input;
    }
    memcpy(es_tensor_bytes(t, app.port->arena.base) + head.offset, frame->payload + sizeof(head), bytes);
    *received += bytes;
    return ES_STATUS_ok;
}

static es_status_t on_abort(const es_frame_t *frame) {
    (void)frame;
    if (app.job.count > 0) {
        const es_run_end_t end = {.run = app.job.run, .status = ES_STATUS_aborted, .dropped = app.decoder.dropped};
        app.job.count = 0;
        es_send(&app.link, ES_RECORD_run_end, &end, sizeof(end), NULL, 0);
    }
    return ES_STATUS_ok;
}

static es_status_t on_reset(const es_frame_t *frame) {
    (void)frame;
    es_port_reset();
    return ES_STATUS_ok;
}

/* Copies the model behind its arena, where it can be changed, and runs it from there until the next start. */
static es_status_t move_to_ram(uint8_t **image) {
    const es_image_header_t *h = app.model.header;
    const es_limits_t offer = limits();
    *image = app.port->arena.base + h->arena_bytes;
    if (app.model.image == *image) {
        return ES_STATUS_ok;
    }
    if (h->total_bytes > app.port->arena.bytes - h->arena_bytes) {
        return ES_STATUS_no_memory;
    }
    memcpy(*image, app.model.image, h->total_bytes);
    return es_model_load(&app.model, *image, h->total_bytes, &offer, &app.where);
}

static es_status_t on_sparsify(const es_frame_t *frame) {
    es_sparsify_t how;
    es_sparsified_t done = {.unit = app.port->unit};
    uint8_t *image;
    memcpy(&how, frame->payload, sizeof(how));
    if (app.model_status != ES_STATUS_ok) {
        return app.model_status;
    }
    if (app.job.count > 0) {
        return ES_STATUS_bad_record;
    }
    ES_TRY(move_to_ram(&image));
    es_port_ticks_start();
    const es_status_t status = es_sparsify(&app.model, image, &how, &done);
    done.count = es_port_ticks();
    const es_limits_t offer = limits();
    app.model_status = es_model_check(&app.model, &offer, &app.where);
    ES_TRY(status);
    ES_TRY(app.model_status);
    es_send(&app.link, ES_RECORD_sparsified, &done, sizeof(done), NULL, 0);
    return ES_STATUS_ok;
}

/* One row of records.def that the host may send. */
typedef struct {
    uint8_t type;
    uint8_t has_tail;
    uint16_t bytes;
    es_status_t (*handle)(const es_frame_t *frame);
} command_t;

static es_status_t handle(const es_frame_t *frame) {
    static const command_t commands[] = {
#define ES_STRUCT(name)
#define ES_FIELD(type, name, doc)
#define ES_ARRAY(type, count, name, doc)
#define ES_END(name, bytes)
#define ES_COMMAND_to_host(type, name, tail)
#define ES_COMMAND_to_device(type, name, tail) {(type), (tail), sizeof(es_##name##_t), on_##name},
#define ES_RECORD(type, direction, name, tail, doc) ES_COMMAND_##direction(type, name, tail)
#include "tables/records.def"
#undef ES_STRUCT
#undef ES_FIELD
#undef ES_ARRAY
#undef ES_END
#undef ES_RECORD
    };
    for (uint32_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const command_t *c = &commands[i];
        if (c->type == frame->header.type) {
            const bool size_ok = c->has_tail ? frame->payload_bytes >= c->bytes : frame->payload_bytes == c->bytes;
            return size_ok ? c->handle(frame) : ES_STATUS_bad_record;
        }
    }
    return ES_STATUS_bad_record;
}

static void receive(void) {
    uint8_t bytes[64];
    for (uint32_t got = es_port_read(bytes, sizeof(bytes)); got > 0; got = es_port_read(bytes, sizeof(bytes))) {
        for (uint32_t i = 0; i < got; i++) {
            es_frame_t frame;
            if (!es_frame_push(&app.decoder, bytes[i], &frame)) {
                continue;
            }
            const es_status_t status = handle(&frame);
            if (status != ES_STATUS_ok) {
                es_send_fault(&app.link, status, frame.header.type, 0, 0);
            }
        }
    }
}

/* Row `row` of the batch holds every input's bytes, one input after another. */
static es_status_t take_batch_row(uint32_t row) {
    uint64_t row_bytes = 0;
    for (uint32_t i = 0; i < app.model.input_count; i++) {
        row_bytes += input_tensor(i)->bytes;
    }
    if ((row + (uint64_t)1) * row_bytes > app.port->batch.bytes) {
        return ES_STATUS_bad_input;
    }
    const uint8_t *from = app.port->batch.base + row * row_bytes;
    for (uint32_t i = 0; i < app.model.input_count; i++) {
        const es_tensor_t *t = input_tensor(i);
        memcpy(es_tensor_bytes(t, app.port->arena.base), from, t->bytes);
        from += t->bytes;
    }
    return ES_STATUS_ok;
}

static es_status_t take_link_input(void) {
    for (uint32_t i = 0; i < app.model.input_count; i++) {
        if (app.received_bytes[i] != input_tensor(i)->bytes) {
            return ES_STATUS_bad_input;
        }
    }
    memset(app.received_bytes, 0, sizeof(app.received_bytes));
    return ES_STATUS_ok;
}

static void dump(void *context, uint32_t node) {
    (void)context;
    es_send_tensors(&app.link, app.job.run, &app.model, node, app.port->arena.base);
}

static uint64_t macs_done(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < app.model.node_count; i++) {
        sum += app.model.macs_done[i];
    }
    return sum;
}

static void send_results(es_link_t *link, es_run_end_t *end) {
    es_send_layers(link, app.job.run, &app.model, &app.profile, end->unit);
    end->output_crc = es_send_outputs(link, app.job.run, &app.model, app.port->arena.base);
    end->count = app.profile.total_count;
    end->macs_done = macs_done();
}

/* All records of the run once more, for nobody: a header of zeros, so that they cost the same in each run. */
static void count_records(const es_run_start_t *start, es_run_end_t end) {
    es_link_t nobody = {.mute = true};
    es_send(&nobody, ES_RECORD_run_start, start, sizeof(*start), NULL, 0);
    send_results(&nobody, &end);
    es_send(&nobody, ES_RECORD_run_end, &end, sizeof(end), NULL, 0);
    app.profile.total_count = es_port_ticks();
}

static void run_once(void) {
    uint8_t *arena = app.port->arena.base;
    const uint8_t unit = (app.job.flags & RUN_DUMP) != 0 ? (uint8_t)ES_UNIT_none : app.port->unit;
    const es_run_start_t start = {.run = app.job.run, .node_count = app.model.node_count};
    es_run_end_t end = {.run = app.job.run, .unit = unit};
    if ((app.job.flags & RUN_RESET_STATE) != 0) {
        es_exec_reset(&app.model, arena);
    }
    end.status = app.job.first_row == FROM_LINK ? take_link_input() : take_batch_row(app.job.first_row);
    if (end.status == ES_STATUS_ok) {
        es_send(&app.link, ES_RECORD_run_start, &start, sizeof(start), NULL, 0);
        es_exec_run(&app.model, arena, &app.profile, (app.job.flags & RUN_NO_ZEROS) == 0,
                    (app.job.flags & RUN_DUMP) != 0 ? dump : NULL, NULL);
        if ((app.job.flags & (RUN_COUNT_RECORDS | RUN_DUMP)) == RUN_COUNT_RECORDS) {
            count_records(&start, end);
        }
        send_results(&app.link, &end);
    }
    end.dropped = app.decoder.dropped;
    es_send(&app.link, ES_RECORD_run_end, &end, sizeof(end), NULL, 0);
}

void es_app_init(void) {
    memset(&app, 0, sizeof(app));
    app.port = es_port_init();
    set_boot_id(0);
    load_model();
    es_port_write((const uint8_t[]){0}, 1); /* ends whatever the line carried before */
    send_hello();
    es_send_log(&app.link, 2, "ready");
}

void es_app_poll(void) {
    receive();
    if (app.job.count == 0) {
        es_port_idle();
        return;
    }
    run_once();
    app.job.count--;
    app.job.run++;
    if (app.job.first_row != FROM_LINK) {
        app.job.first_row++;
    }
}

void es_app_fault(uint32_t detail, uint32_t pc, uint32_t lr) {
    es_send_fault(&app.link, ES_STATUS_fault, detail, pc, lr);
}
