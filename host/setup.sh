#!/bin/sh
# Installs what edgesparse needs on Debian 12, Ubuntu 22.04 and 24.04: `make setup` calls this.
#
#   host/setup.sh system    packages of the system: compilers and QEMU; only what is missing, never without saying so
#   host/setup.sh venv      .venv with edgesparse (editable) and the packages it needs
#   host/setup.sh native    the native module again, after a change of C sources
#
# PYTHON chooses the interpreter. Exit code 5: something is missing that cannot be installed from here.
set -eu
cd "$(dirname "$0")/.."

MISSING_TOOL=5

say() {
    printf 'edgesparse setup: %s\n' "$*"
}

fail() {
    printf 'edgesparse setup: %s\n' "$*" >&2
    exit "$MISSING_TOOL"
}

# The first interpreter that the tests run on: they need an oracle, which later Pythons do not have.
find_python() {
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.10, 3.11 or 3.12 is needed; name one with PYTHON=/path/to/python3 make setup"
}

ask_python() {
    "$python" -c "import os, sys, sysconfig; $1"
}

# Names the package that gives something, unless the test for it succeeds.
need() {
    package=$1
    shift
    if ! "$@" >/dev/null 2>&1; then
        packages="$packages $package"
    fi
}

compiles_c() {
    printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c -fsyntax-only -
}

has_arm_libc() {
    printf '#include <string.h>\n' | arm-none-eabi-gcc -x c -fsyntax-only - &&
        test -e "$(arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=soft -print-file-name=libc.a)"
}

has_python_headers() {
    ask_python 'sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

# Python's own parts come as packages only for the system's interpreter.
need_python_part() {
    part=$1
    shift
    if "$@" >/dev/null 2>&1; then
        return
    fi
    if [ "$(ask_python 'print(sys.base_prefix)')" != /usr ]; then
        fail "$python lacks its ${part} files; install them, or choose another with PYTHON=/usr/bin/python3 make setup"
    fi
    packages="$packages python$(ask_python 'print("%d.%d" % sys.version_info[:2])')-$part"
}

install_packages() {
    line="apt-get install --no-install-recommends -y$packages"
    if ! command -v apt-get >/dev/null; then
        fail "missing:$packages (Debian's names); install them, then run make setup again"
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root="env"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo -n env"
    elif command -v sudo >/dev/null && [ -t 0 ]; then
        as_root="sudo env"
    else
        fail "run this as root, then make setup again: $line"
    fi
    say "installing$packages"
    install="$as_root DEBIAN_FRONTEND=noninteractive $line -o DPkg::Lock::Timeout=300"
    # An old package list names files that are gone, so fetch a new one where the first try fails.
    $install >/dev/null 2>&1 || {
        $as_root apt-get update >/dev/null
        $install >/dev/null
    } || fail "this failed: $line"
}

system() {
    packages=""
    need gcc command -v cc
    need libc6-dev compiles_c
    need_python_part dev has_python_headers
    need_python_part venv ask_python 'import ensurepip, venv'
    need qemu-system-arm command -v qemu-system-arm
    need gcc-arm-none-eabi command -v arm-none-eabi-gcc
    need libnewlib-arm-none-eabi has_arm_libc
    if [ -n "$packages" ]; then
        install_packages
    fi
}

# For the tests of reports alone. Ubuntu has no such package: there chromium and its driver must be in PATH.
browser() {
    packages=""
    need chromium command -v chromium
    need chromium-driver command -v chromedriver
    if [ -n "$packages" ]; then
        install_packages
    fi
}

pip_install() {
    .venv/bin/python -m pip install -qq --disable-pip-version-check "$@"
}

# scikit-build-core, CMake and Ninja lie in the venv, so that a rebuild needs neither network nor a new environment.
native() {
    pip_install --no-build-isolation --no-deps --editable .
}

venv() {
    # A venv knows its path and its interpreter: one that was moved, copied or outlived by its Python starts anew.
    origin="$(pwd) $(ask_python 'print(sys.version)')"
    if [ "$(cat .venv/origin 2>/dev/null)" != "$origin" ] || ! .venv/bin/python -c '' 2>/dev/null; then
        say "creating .venv with $python"
        rm -rf .venv build
        "$python" -m venv .venv
        printf '%s\n' "$origin" >.venv/origin
    fi
    say "installing edgesparse and the packages it needs into .venv"
    build_requires="$(sed -n 's/^requires = \[\(.*\)\]$/\1/p' pyproject.toml | tr -d '",')"
    # Without build isolation, packages that come as sources only (cobs) need setuptools and wheel here.
    # shellcheck disable=SC2086
    pip_install $build_requires cmake ninja setuptools wheel
    pip_install --no-build-isolation --editable '.[test,lint]'
}

python="$(find_python)"
case "${1:-}" in
    system) system ;;
    venv) venv ;;
    native) native ;;
    browser) browser ;;
    *) fail "say system, venv, native or browser" ;;
esac
