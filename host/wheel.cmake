# What a wheel carries beyond the module: the sources that firmware is built from, and, if an Arm compiler is at
# hand, the firmware of every board. Included by native.cmake.
set(source_patterns PATTERN "*.c" PATTERN "*.h" PATTERN "*.def" PATTERN "*.ld" PATTERN "*.json" PATTERN "*.cmake"
    PATTERN "build_id.py")
install(DIRECTORY firmware cmsis_kernels DESTINATION edgesparse/_sources FILES_MATCHING ${source_patterns})
install(FILES CMakeLists.txt DESTINATION edgesparse/_sources)
install(FILES host/board.json DESTINATION edgesparse/_sources/host)

find_program(ES_ARM_COMPILER arm-none-eabi-gcc)
if(NOT ES_ARM_COMPILER)
    message(STATUS "arm-none-eabi-gcc is not installed: the wheel will hold no firmware")
    return()
endif()
include(ExternalProject)
file(GLOB board_files firmware/boards/*/board.json)
foreach(board_file IN LISTS board_files)
    get_filename_component(board_folder "${board_file}" DIRECTORY)
    get_filename_component(board "${board_folder}" NAME)
    set(binary_dir "${PROJECT_BINARY_DIR}/firmware/${board}")
    ExternalProject_Add(firmware_${board}
        SOURCE_DIR "${PROJECT_SOURCE_DIR}"
        BINARY_DIR "${binary_dir}"
        CMAKE_ARGS
            "-DES_BOARD=${board}"
            "-DCMAKE_TOOLCHAIN_FILE=${PROJECT_SOURCE_DIR}/firmware/boards/arm-none-eabi.cmake"
            "-DPython_EXECUTABLE=${Python_EXECUTABLE}"
        BUILD_ALWAYS ON
        INSTALL_COMMAND "")
    install(FILES "${binary_dir}/${board}.elf" DESTINATION edgesparse/_firmware)
endforeach()
