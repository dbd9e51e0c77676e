/* Records to the host: one function a record, each sends one or more frames. */
#ifndef ES_TELEMETRY_H
#define ES_TELEMETRY_H

#include "es_link.h"

/* One LAYER record a node, in order. */
void es_send_layers(es_link_t *link, uint32_t run, const es_model_t *model, const es_profile_t *profile, uint8_t unit);

/* All model outputs as OUTPUT records. Returns the CRC-32 of their bytes. */
uint32_t es_send_outputs(es_link_t *link, uint32_t run, const es_model_t *model, const uint8_t *arena);

/* The outputs of one node as TENSOR_DATA records. */
void es_send_tensors(es_link_t *link, uint32_t run, const es_model_t *model, uint32_t node, const uint8_t *arena);

/* A LOG record: level 0 error, 1 warning, 2 information; text of at most 252 characters. */
void es_send_log(es_link_t *link, uint32_t level, const char *text);

/* A FAULT record. */
void es_send_fault(es_link_t *link, es_status_t status, uint32_t detail, uint32_t pc, uint32_t lr);

#endif
