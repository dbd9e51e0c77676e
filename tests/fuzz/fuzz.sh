#!/bin/sh
# Fuzzes the loader and the link with clang's libFuzzer, ASan and UBSan.
#
#   tests/fuzz/fuzz.sh [SECONDS]     each target for SECONDS (60), from the conformance vectors
#
# Crashes stay in build/fuzz/<target>; each becomes an invalid vector in tests/conformance.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
python=${PYTHON:-.venv/bin/python}
mkdir -p build/fuzz/image build/fuzz/link
"$python" -I firmware/build_id.py . --output build/fuzz/es_build_id.c
"$python" -m tests.fuzz.seeds build/fuzz
for target in image link; do
    clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -Icmsis_kernels/include -Icmsis_kernels/tables -Icmsis_kernels/src/support \
        -Ifirmware/runtime -Ifirmware/port -Ifirmware/app -Ihost \
        cmsis_kernels/src/*/*.c firmware/runtime/*.c firmware/runtime/ops/*.c firmware/app/es_app.c \
        host/es_port_native.c build/fuzz/es_build_id.c "tests/fuzz/fuzz_$target.c" -o "build/fuzz/fuzz_$target"
    ES_FUZZ_IMAGE=build/fuzz/small.esm "build/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=16384 \
        -print_final_stats=1 -artifact_prefix="build/fuzz/$target-" "build/fuzz/$target"
done
