#include "es_op_pool.h"

const es_op_t es_op_average_pool_2d = {
    .id = ES_OP_average_pool_2d,
    .params_bytes = sizeof(es_pool_params_t),
    .scratch_bytes = es_pool_scratch_bytes,
    .check = es_check_pool,
    .run = es_pool_run,
};
