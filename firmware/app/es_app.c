#include "es_app.h"

#include <string.h>

#include "es_build_id.h"
#include "es_paint.h"
#include "es_parts.h"
#include "es_port.h"
#include "es_sparsify.h"
#include "es_sums.h"
#include "es_telemetry.h"

#define MAX_INPUTS 8u
#define FROM_LINK UINT32_MAX /* first_row of a RUN whose input came in INPUT records */
#define FOREVER UINT32_MAX   /* count of a RUN that goes on until ABORT */
#define MEMORY_WIRE_BYTES (sizeof(es_memory_t) + ES_FRAME_WIRE_MAX - ES_PAYLOAD_MAX)
#define OVERRUN_BYTES 1024u /* painted behind the image's arena, to see who writes there */

#define RUN_DUMP 1u
#define RUN_RESET_STATE 2u
#define RUN_NO_ZEROS 4u
#define RUN_COUNT_RECORDS 8u
#define RUN_HISTOGRAMS 16u
#define RUN_NO_SATURATED 32u

static struct {
    const es_port_info_t *port;
    es_ring_t ring;
    es_link_t link;
    es_frame_decoder_t decoder;
    es_model_t model;
    es_profile_t profile;
    es_status_t model_status;
    es_where_t where;
    uint32_t nonce;
    uint32_t received_bytes[MAX_INPUTS]; /* of the present input, by INPUT records */
    es_run_t job;                        /* what is left of the last RUN; count 0: nothing */
    uint32_t row;                        /* of the next run, from the job's first one on */
    uint32_t records;                    /* what a run or window of the job has to send: records and bytes */
    uint32_t records_bytes;
    es_sums_t sums;
    uint64_t seen_ticks;    /* reading of the time base up to which the rate has been earned */
    uint32_t painted_bytes; /* of the arena, that still tell what was written */
    uint32_t high_bytes;    /* of the arena, that were written as of the last look */
    bool memory_due;        /* a MEMORY is to be sent as soon as there is room, and the rate allows or no run is left */
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
                        .nonce = app.nonce,
                        .reset_reason = app.port->reset_reason};
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

static uint32_t arena_used_bytes(void) { return app.model_status == ES_STATUS_ok ? app.model.header->arena_bytes : 0; }

/* Whether the model runs from its copy behind its arena; see move_to_ram. */
static bool is_in_ram(void) {
    return ES_HAS_sparsify && app.model_status == ES_STATUS_ok &&
           app.model.image == app.port->arena.base + arena_used_bytes();
}

/* Arena and, where the model runs from RAM, its image. */
static uint32_t taken_bytes(void) { return arena_used_bytes() + (is_in_ram() ? app.model.header->total_bytes : 0); }

static void paint_arena(void) {
    const uint32_t used = arena_used_bytes();
    const uint32_t rest = app.port->arena.bytes - used;
    app.painted_bytes = used + (rest < OVERRUN_BYTES ? rest : OVERRUN_BYTES);
    memset(app.port->arena.base, ES_PAINT, app.painted_bytes);
}

/* From here on the arena holds other things, which tell nothing of what inferences write. */
static void end_paint(uint32_t offset) {
    if (offset < app.painted_bytes) {
        app.painted_bytes = offset < app.high_bytes ? app.high_bytes : offset;
    }
}

static void send_memory(es_link_t *link) {
    const es_region_t *stack = &app.port->stack;
    uint8_t *above = app.port->arena.base + app.high_bytes;
    app.high_bytes += es_painted_from(above, app.painted_bytes - app.high_bytes);
    const es_memory_t memory = {.run = app.job.run,
                                .unsent = app.link.unsent,
                                .arena_used_bytes = arena_used_bytes(),
                                .arena_high_bytes = app.high_bytes,
                                .stack_bytes = stack->bytes,
                                .stack_high_bytes = stack->bytes - es_painted_until(stack->base, stack->bytes)};
    es_send(link, ES_RECORD_memory, &memory, sizeof(memory), NULL, 0);
}

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
    paint_arena();
    if (app.model_status == ES_STATUS_ok) {
        es_exec_reset(&app.model, app.port->arena.base);
    }
}

static const es_tensor_t *input_tensor(uint32_t i) { return &app.model.tensors[app.model.inputs[i]]; }

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

static bool has_windows(const es_run_t *job) { return job->every > 1; }

/* Whether nothing may be left out: then the line sets the pace. */
static bool sends_all(const es_run_t *job) { return job->rate == 0 && !has_windows(job); }

static void after_node(void *context, uint32_t node) {
    (void)context;
    if ((app.job.flags & RUN_DUMP) != 0) {
        es_send_tensors(&app.link, app.job.run, &app.model, node, app.port->arena.base);
    }
    es_sums_count(&app.sums, &app.model, node, app.port->arena.base);
}

/* Earns what has passed since the last look, which es_exec_run must not fall between. */
static void earn_time(void) {
    const uint64_t now = es_port_ticks();
    es_rate_earn(&app.link.rate, now - app.seen_ticks);
    app.seen_ticks = now;
}

static void execute(void) {
    const uint32_t zeros = (app.job.flags & RUN_NO_ZEROS) != 0 ? 0 : ES_COUNT_ZEROS;
    const uint32_t saturated = (app.job.flags & RUN_NO_SATURATED) != 0 ? 0 : ES_COUNT_SATURATED;
    const bool has_hook = (app.job.flags & (RUN_DUMP | RUN_HISTOGRAMS)) != 0;
    es_exec_run(&app.model, app.port->arena.base, &app.profile, zeros | saturated, has_hook ? after_node : NULL, NULL);
    es_rate_earn(&app.link.rate, app.profile.total_count);
    app.seen_ticks = es_port_ticks();
}

static void send_run_start(es_link_t *link) {
    const es_run_start_t start = {.run = app.job.run, .node_count = app.model.node_count};
    es_send(link, ES_RECORD_run_start, &start, sizeof(start), NULL, 0);
}

static void send_run_end(es_link_t *link, es_run_end_t *end) {
    end->run = app.job.run;
    end->unit = app.port->unit;
    end->dropped = app.decoder.dropped;
    end->unsent = app.link.unsent;
    es_send(link, ES_RECORD_run_end, end, sizeof(*end), NULL, 0);
}

static uint64_t macs_done(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < app.model.node_count; i++) {
        sum += app.model.macs_done[i];
    }
    return sum;
}

static void send_results(es_link_t *link) {
    es_run_end_t end = {.count = app.profile.total_count, .macs_done = macs_done()};
    es_send_layers(link, app.job.run, &app.model, &app.profile, app.port->unit);
    es_sums_send_histograms(link, &app.sums);
    end.output_crc = es_send_outputs(link, app.job.run, &app.model, app.port->arena.base);
    send_run_end(link, &end);
}

static void send_window(es_link_t *link) {
    es_sums_send_layers(link, &app.sums, &app.model);
    es_sums_send_histograms(link, &app.sums);
    app.sums.window.dropped = app.decoder.dropped;
    app.sums.window.unsent = app.link.unsent;
    es_send(link, ES_RECORD_run_window, &app.sums.window, sizeof(app.sums.window), NULL, 0);
}

/* Makes all records of a run or window once, for nobody: their number, and their bytes to within one a record. */
static void measure_records(void) {
    es_link_t nobody = {.ring = NULL};
    if (has_windows(&app.job)) {
        send_window(&nobody);
    } else {
        send_run_start(&nobody);
        send_results(&nobody);
    }
    app.records = nobody.made;
    app.records_bytes = nobody.made_bytes + nobody.made;
}

/* Whether the next run or window may be sent; else its records are left out, all of them. */
static bool may_send(void) {
    const bool allowed = app.link.patient || es_link_allows(&app.link, app.records_bytes);
    app.link.unsent += allowed ? 0 : app.records;
    return allowed;
}

static void close_window(void) {
    if (app.sums.window.runs > 0) {
        if (may_send()) {
            send_window(&app.link);
        }
        app.memory_due = true;
        es_sums_clear(&app.sums, &app.model, app.job.run, app.port->unit);
    }
}

/* All records of the run once more, for nobody: a header of zeros and run 0, so that they cost the same in each run. */
static void count_records(void) {
    const uint32_t others = RUN_DUMP | RUN_HISTOGRAMS;
    const uint32_t run = app.job.run;
    if ((app.job.flags & RUN_COUNT_RECORDS) != 0 && (app.job.flags & others) == 0) {
        es_link_t nobody = {.ring = NULL};
        app.job.run = 0;
        send_run_start(&nobody);
        send_results(&nobody);
        app.job.run = run;
        app.profile.total_count = es_port_ticks();
    }
}

static void run_alone(void) {
    const bool sends = may_send();
    es_sums_clear(&app.sums, &app.model, app.job.run, app.port->unit);
    if (sends) {
        send_run_start(&app.link);
    }
    execute();
    if (sends) {
        count_records();
        send_results(&app.link);
    }
}

static void run_in_window(void) {
    execute();
    es_sums_add(&app.sums, &app.model, &app.profile);
}

static void run_once(void) {
    const uint32_t row = app.job.first_row + (app.job.rows == 0 ? app.row : app.row % app.job.rows);
    es_run_end_t end = {.status = ES_STATUS_ok};
    earn_time();
    if ((app.job.flags & RUN_RESET_STATE) != 0) {
        es_exec_reset(&app.model, app.port->arena.base);
    }
    end.status = app.job.first_row == FROM_LINK ? take_link_input() : take_batch_row(row);
    if (end.status != ES_STATUS_ok) {
        send_run_end(&app.link, &end);
    } else if (has_windows(&app.job)) {
        run_in_window();
    } else {
        run_alone();
    }
}

static void end_job(void) {
    app.job.count = 0;
    app.link.patient = true;
    app.memory_due = true;
}

/* MEMORY first, so that a host that has its HELLO has all. */
static es_status_t on_ping(const es_frame_t *frame) {
    es_ping_t ping;
    memcpy(&ping, frame->payload, sizeof(ping));
    set_boot_id(ping.nonce);
    send_memory(&app.link);
    send_hello();
    return ES_STATUS_ok;
}

/* Takes RAM for what the job adds up from what the image leaves free. */
static es_status_t place_sums(const es_run_t *job) {
    const es_region_t *arena = &app.port->arena;
    const bool histograms = (job->flags & RUN_HISTOGRAMS) != 0;
    ES_TRY(es_sums_place(&app.sums, &app.model, has_windows(job), histograms, job->every, arena->base, arena->bytes,
                         taken_bytes()));
    end_paint(app.sums.offset);
    return ES_STATUS_ok;
}

static es_status_t on_run(const es_frame_t *frame) {
    es_run_t job;
    memcpy(&job, frame->payload, sizeof(job));
    if (app.model_status != ES_STATUS_ok) {
        return app.model_status;
    }
    const bool dumps = (job.flags & RUN_DUMP) != 0;
    const bool has_no_time = app.port->tick_rate_hz == 0;
    if (app.job.count > 0 || (dumps && !sends_all(&job)) || (job.rate != 0 && has_no_time)) {
        return ES_STATUS_bad_record;
    }
    ES_TRY(place_sums(&job));
    app.job = job;
    app.row = 0;
    if (app.link.rate.bytes_per_second != job.rate) {
        es_rate_start(&app.link.rate, job.rate, app.port->tick_rate_hz);
    }
    app.link.patient = sends_all(&job);
    es_sums_clear(&app.sums, &app.model, job.run, app.port->unit);
    measure_records();
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
        const es_run_end_t end = {
            .run = app.job.run, .status = ES_STATUS_aborted, .dropped = app.decoder.dropped, .unsent = app.link.unsent};
        close_window();
        end_job();
        es_send(&app.link, ES_RECORD_run_end, &end, sizeof(end), NULL, 0);
    }
    return ES_STATUS_ok;
}

static es_status_t on_reset(const es_frame_t *frame) {
    (void)frame;
    es_link_flush(&app.link);
    es_port_reset();
    return ES_STATUS_ok;
}

/* Copies the model behind its arena, where it can be changed, and runs it from there until the next start. */
static es_status_t move_to_ram(uint8_t **image) {
    const es_image_header_t *h = app.model.header;
    const es_limits_t offer = limits();
    *image = app.port->arena.base + h->arena_bytes;
    if (is_in_ram()) {
        return ES_STATUS_ok;
    }
    if (h->total_bytes > app.port->arena.bytes - h->arena_bytes) {
        return ES_STATUS_no_memory;
    }
    end_paint(h->arena_bytes);
    memcpy(*image, app.model.image, h->total_bytes);
    return es_model_load(&app.model, *image, h->total_bytes, &offer, &app.where);
}

static es_status_t on_sparsify(const es_frame_t *frame) {
    es_sparsify_t how;
    es_sparsified_t done = {.unit = app.port->unit};
    uint8_t *image;
    if (!ES_HAS_sparsify) {
        return ES_STATUS_left_out;
    }
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
    app.seen_ticks = done.count;
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

void es_app_init(void) {
    memset(&app, 0, sizeof(app));
    app.port = es_port_init();
    app.link.ring = &app.ring;
    app.link.patient = true;
    set_boot_id(0);
    load_model();
    (void)es_port_write((const uint8_t[]){0}, 1); /* ends whatever the line carried before */
    send_hello();
    es_send_log(&app.link, 2, "ready");
}

/* What comes before the next run: whether there is one, and nothing to wait for. */
static bool may_run(void) {
    bool waits = es_link_drain(&app.link);
    if (app.memory_due && !waits && (app.job.count == 0 || es_link_allows(&app.link, MEMORY_WIRE_BYTES))) {
        app.memory_due = false;
        send_memory(&app.link);
        waits = es_link_drain(&app.link); /* asleep nothing would send the rest */
    }
    if (app.job.count == 0 && !waits) {
        es_port_idle();
    }
    return app.job.count > 0 && !(waits && app.link.patient);
}

void es_app_poll(void) {
    receive();
    if (!may_run()) {
        return;
    }
    run_once();
    app.job.run++;
    app.row++;
    if (app.sums.window.runs == app.job.every) {
        close_window();
    }
    if (app.job.count != FOREVER && --app.job.count == 0) {
        close_window();
        end_job();
    }
}

void es_app_fault(uint32_t detail, uint32_t pc, uint32_t lr) {
    if (app.link.ring != NULL) {
        app.link.patient = true;
        es_send_fault(&app.link, ES_STATUS_fault, detail, pc, lr);
        es_link_flush(&app.link);
    }
}
