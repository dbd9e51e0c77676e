"""The firmware's size by part, from a linker's map."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAP = """\
Discarded input sections

 .text.unused   0x0000000000000000       0x40 CMakeFiles/firmware.dir/firmware/app/es_app.c.obj

Linker script and memory map

LOAD a.obj

.text           0x0000000000000000      0x1a0
 *(.vectors)
 .vectors       0x0000000000000000       0x40 CMakeFiles/firmware.dir/firmware/boards/startup.c.obj
 .text.es_long_name_of_a_kernel
                0x0000000000000040      0x100 firmware.dir/cmsis_kernels/src/add/es_add_s8.c.obj
                0x0000000000000040                es_long_name_of_a_kernel
 .text          0x0000000000000140       0x20 /usr/lib/arm-none-eabi/lib/libc.a(lib_a-memcpy.o)
 *fill*         0x0000000000000160       0x10
 .rodata.str1.1
                0x0000000000000170        0x8 CMakeFiles/firmware.dir/firmware/runtime/es_exec.c.obj
                                          0xc (size before relaxing)
 .rodata        0x0000000000000178       0x20 CMakeFiles/firmware.dir/es_build_id.c.obj
                0x00000000000001a0                . = ALIGN (0x4)

.data           0x0000000020000000        0x8 load address 0x00000000000001a0
 .data.es_table
                0x0000000020000000        0x8 CMakeFiles/firmware.dir/firmware/app/es_app.c.obj

.bss            0x0000000020000008       0x80
 .bss           0x0000000020000008       0x80 CMakeFiles/firmware.dir/firmware/app/es_app.c.obj
"""


@pytest.fixture(scope="module")
def report() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "host" / "size_report.py")))


def test_every_byte_belongs_to_a_part(report: SimpleNamespace) -> None:
    sizes = report.read_map(MAP, (".text", ".data"))
    assert sizes == Counter(
        {
            "port": 0x40,
            "kernels": 0x100,
            "C library": 0x20,
            "runtime": 0x28,
            "application": 8,
            "padding": 0x18,
        }
    )
    assert sizes.total() == 0x1A0 + 8


def test_a_file_of_no_part_is_named(report: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match=r"elsewhere\.c\.obj belongs to no part"):
        report.part_of("CMakeFiles/firmware.dir/elsewhere.c.obj")


def test_only_the_text_between_the_markers_changes(report: SimpleNamespace) -> None:
    old = "a\n<!-- size -->\nold\n<!-- end size -->\nb\n"
    assert report.rewritten(old, "new\n") == "a\n<!-- size -->\nnew\n<!-- end size -->\nb\n"
    with pytest.raises(ValueError, match="needs one"):
        report.rewritten("no markers", "new\n")
