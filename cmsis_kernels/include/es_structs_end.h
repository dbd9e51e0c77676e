/* Ends what es_structs_begin.h began. */
#undef ES_STRUCT
#undef ES_FIELD
#undef ES_ARRAY
#undef ES_END
