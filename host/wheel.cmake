# What a wheel carries beyond the module: the sources that firmware is built from, and, if an Arm compiler is at
# hand, the firmware of every board. Included by native.cmake.
set(source_patterns PATTERN "*.c" PATTERN "*.h" PATTERN "*.def" PATTERN "*.ld" PATTERN "*.json" PATTERN "*.cmake"
    PATTERN "build_id.py" PATTERN "only_kernels.py")
install(DIRECTORY firmware cmsis_kernels DESTINATION edgesparse/_sources FILES_MATCHING ${source_patterns})
install(FILES CMakeLists.txt DESTINATION edgesparse/_sources)
install(FILES host/board.json DESTINATION edgesparse/_sources/host)

find_program(ES_ARM_COMPILER arm-none-eabi-gcc)
if(NOT ES_ARM_COMPILER)
    message(STATUS "arm-none-eabi-gcc is not installed: the wheel will hold no firmware")
    return()
endif()

# Flags that are meant for the host's compiler; edgesparse/deploy/firmware.py leaves out the same.
set(foreign "")
foreach(name CC CFLAGS CPATH CPPFLAGS C_INCLUDE_PATH LDFLAGS LIBRARY_PATH MAKEFLAGS)
    list(APPEND foreign "--unset=${name}")
endforeach()
set(clean_cmake "${CMAKE_COMMAND}" -E env ${foreign} "${CMAKE_COMMAND}")

include(ExternalProject)
file(GLOB board_files CONFIGURE_DEPENDS firmware/boards/*/board.json)
foreach(board_file IN LISTS board_files)
    get_filename_component(board_folder "${board_file}" DIRECTORY)
    get_filename_component(board "${board_folder}" NAME)
    set(binary_dir "${PROJECT_BINARY_DIR}/firmware/${board}")
    ExternalProject_Add(firmware_${board}
        SOURCE_DIR "${PROJECT_SOURCE_DIR}"
        BINARY_DIR "${binary_dir}"
        CONFIGURE_COMMAND ${clean_cmake} -S "${PROJECT_SOURCE_DIR}" -B "${binary_dir}"
            -G "${CMAKE_GENERATOR}"
            "-DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}"
            "-DCMAKE_TOOLCHAIN_FILE=${PROJECT_SOURCE_DIR}/firmware/boards/arm-none-eabi.cmake"
            "-DES_BOARD=${board}"
            "-DPython_EXECUTABLE=${Python_EXECUTABLE}"
        BUILD_COMMAND ${clean_cmake} --build "${binary_dir}"
        BUILD_ALWAYS ON
        INSTALL_COMMAND "")
    install(FILES "${binary_dir}/${board}.elf" DESTINATION edgesparse/_firmware)
endforeach()
