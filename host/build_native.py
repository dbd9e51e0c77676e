"""Writes the C source of the extension module `edgesparse._native` (cffi, API mode).

Usage: build_native.py OUT.c
"""

import contextlib
import re
import sys
from pathlib import Path

from cffi import FFI


def declarations(header: str) -> str:
    """The header without its preprocessor lines, which cffi does not read."""
    return re.sub(r"^\s*#.*$", "", header, flags=re.MULTILINE)


def main() -> None:
    """Command line."""
    ffi = FFI()
    header = Path(__file__).with_name("es_native.h").read_text(encoding="utf-8")
    ffi.cdef(declarations(header))
    ffi.set_source("edgesparse._native", '#include "es_native.h"\n')
    with contextlib.redirect_stdout(None):  # cffi says each time what it does
        ffi.emit_c_code(sys.argv[1])


if __name__ == "__main__":
    main()
