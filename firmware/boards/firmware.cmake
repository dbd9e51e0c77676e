# <board>.elf, from the board's board.json. Included by the top CMakeLists.txt.
set(boards_dir "${PROJECT_SOURCE_DIR}/firmware/boards")
set(board_json_path "${boards_dir}/${ES_BOARD}/board.json")
if(NOT EXISTS "${board_json_path}")
    message(FATAL_ERROR "no board ${ES_BOARD}: ${board_json_path} is missing")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${board_json_path}")
file(READ "${board_json_path}" board_json)

# A JSON array of strings as a CMake list.
function(es_json_list variable json key)
    set(items "")
    string(JSON count LENGTH "${json}" "${key}")
    if(count GREATER 0)
        math(EXPR last "${count} - 1")
        foreach(i RANGE ${last})
            string(JSON item GET "${json}" "${key}" ${i})
            list(APPEND items "${item}")
        endforeach()
    endif()
    set(${variable} "${items}" PARENT_SCOPE)
endfunction()

string(JSON cpu GET "${board_json}" cpu)
string(JSON isa GET "${board_json}" isa)
string(JSON stack_bytes GET "${board_json}" memory stack_bytes)
es_json_list(board_flags "${board_json}" compile_flags)
es_json_list(shared_folders "${board_json}" shared_sources)

# Every memory becomes two symbols of the linker script.
set(memory_symbols "-Wl,--defsym=__es_stack_bytes=${stack_bytes}")
foreach(part firmware model ram batch)
    foreach(field base bytes)
        string(JSON value ERROR_VARIABLE absent GET "${board_json}" memory ${part} ${field})
        if(absent AND part STREQUAL "batch")
            set(value 0)
        elseif(absent)
            message(FATAL_ERROR "${board_json_path}: ${absent}")
        endif()
        list(APPEND memory_symbols "-Wl,--defsym=__es_${part}_${field}=${value}")
    endforeach()
endforeach()

set(source_patterns "${boards_dir}/*.c" "${boards_dir}/${ES_BOARD}/*.c")
foreach(folder IN LISTS shared_folders)
    list(APPEND source_patterns "${boards_dir}/${folder}/*.c")
endforeach()
file(GLOB board_sources CONFIGURE_DEPENDS ${source_patterns})
file(GLOB app_sources CONFIGURE_DEPENDS "${ES_APP}/*.c")

add_executable(firmware ${runtime_sources} ${app_sources} ${board_sources} "${build_id_source}")
add_dependencies(firmware es_build_id)
set(linker_script "${boards_dir}/cortex_m.ld")
set_target_properties(firmware PROPERTIES
    OUTPUT_NAME "${ES_BOARD}" SUFFIX ".elf" LINK_DEPENDS "${linker_script}")
list(TRANSFORM shared_folders PREPEND "${boards_dir}/")
target_include_directories(firmware PRIVATE "${boards_dir}" ${shared_folders})
target_compile_definitions(firmware PRIVATE
    "ES_BOARD_NAME=\"${ES_BOARD}\"" "ES_BOARD_CPU=\"${cpu}\"" "ES_BOARD_ISA=ES_ISA_${isa}")
if(ES_ONLY_KERNELS)
    set(only_dir "${PROJECT_BINARY_DIR}/only")
    execute_process(
        COMMAND "${Python_EXECUTABLE}" -I "${PROJECT_SOURCE_DIR}/firmware/only_kernels.py" "${PROJECT_SOURCE_DIR}"
            "${ES_ONLY_KERNELS}" "${only_dir}"
        COMMAND_ERROR_IS_FATAL ANY)
    # The rows change only with the tables, and then CMake has to run again.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
        firmware/only_kernels.py cmsis_kernels/tables/kernels.def cmsis_kernels/tables/encodings.def cmsis_kernels/tables/skips.def
        firmware/runtime/tables/ops.def)
    set_source_files_properties(firmware/runtime/es_tables.c PROPERTIES COMPILE_DEFINITIONS
        "ES_KERNEL_ROWS=\"${only_dir}/kernels.def\";ES_ENCODING_ROWS=\"${only_dir}/encodings.def\";ES_OP_ROWS=\"${only_dir}/ops.def\";ES_SKIPS_ROWS=\"${only_dir}/skips.def\"")
endif()
string(REPLACE "," ";" without "${ES_WITHOUT}")
foreach(part IN LISTS without)
    target_compile_definitions(firmware PRIVATE "ES_HAS_${part}=0")
endforeach()
separate_arguments(optimize NATIVE_COMMAND "${ES_OPTIMIZE}")
target_compile_options(firmware PRIVATE ${board_flags} ${optimize} -ffunction-sections -fdata-sections)
# Where time is not spent, size counts: plans, checks, and loops that are assembler inside.
file(GLOB small_sources CONFIGURE_DEPENDS
    firmware/app/*.c firmware/port/*.c "${boards_dir}/*.c" "${boards_dir}/*/*.c" "${boards_dir}/*/*/*.c"
    firmware/runtime/es_exec.c firmware/runtime/es_frame.c firmware/runtime/es_link.c firmware/runtime/es_model.c
    firmware/runtime/es_paint.c firmware/runtime/es_sparsify.c firmware/runtime/es_sums.c firmware/runtime/es_tables.c
    firmware/runtime/es_telemetry.c firmware/runtime/ops/*.c
    cmsis_kernels/src/add/es_add_broadcast_s8.c cmsis_kernels/src/average_pool_2d/*.c
    cmsis_kernels/src/conv_2d/es_conv_2d_dense_pack.c cmsis_kernels/src/conv_2d/es_conv_2d_dense_plan.c
    cmsis_kernels/src/conv_2d/es_conv_2d_dense_s8.c
    cmsis_kernels/src/conv_2d/es_conv_2d_group4_s8.c
    cmsis_kernels/src/depthwise_conv_2d/es_depthwise_conv_2d_dense_s8.c cmsis_kernels/src/encoding/*.c
    cmsis_kernels/src/mean/*.c cmsis_kernels/src/resize_nearest_neighbor/*.c cmsis_kernels/src/softmax/*.c
    cmsis_kernels/src/support/es_broadcast.c cmsis_kernels/src/support/es_classes.c
    cmsis_kernels/src/support/es_depthwise_block.c cmsis_kernels/src/support/es_requant.c
    cmsis_kernels/src/support/es_size.c cmsis_kernels/src/support/es_sparse_conv.c
    cmsis_kernels/src/support/es_sparse_layout.c cmsis_kernels/src/support/es_steps.c
    cmsis_kernels/src/support/es_window.c cmsis_kernels/src/transpose_conv/*.c)
# Firmware for one model is made to be small, so there those loops of depthwise layers that are C are, too.
if(ES_ONLY_KERNELS)
    list(APPEND small_sources
        cmsis_kernels/src/support/es_depthwise_strip.c cmsis_kernels/src/support/es_depthwise_window.c)
endif()
set_source_files_properties(${small_sources} PROPERTIES COMPILE_OPTIONS -Os)
# A loop that copies or fills must not become a call of the very function that it is in.
set_source_files_properties("${boards_dir}/memory.c" PROPERTIES
    COMPILE_OPTIONS "-Os;-fno-tree-loop-distribute-patterns")
target_link_options(firmware PRIVATE
    ${board_flags} -nostartfiles -static "-T${linker_script}" ${memory_symbols}
    -Wl,--gc-sections -Wl,--build-id=none -Wl,--undefined=es_build_id $<$<NOT:$<CONFIG:Debug>>:-Wl,--strip-debug>
    "-Wl,-Map=${PROJECT_BINARY_DIR}/${ES_BOARD}.map")
target_link_libraries(firmware PRIVATE es_options)
