"""Boards as data, and which firmware belongs to which sources."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgesparse import native
from edgesparse.deploy import firmware
from edgesparse.deploy.boards import Board, find_board, list_boards, sources_root
from edgesparse.errors import MissingToolError, TargetError, UsageError
from tests.conformance.make_vectors import small_image, with_crc


def board_data(**changes: object) -> dict[str, Any]:
    """What a board.json says, with some of it changed; names with dots lead into `memory`."""
    data: dict[str, Any] = {
        "name": "some-board",
        "description": "a board",
        "cpu": "cortex-m4",
        "isa": "armv7em",
        "memory": {
            "flash": {"base": "0x08000000", "bytes": 0x10000},
            "firmware": {"base": "0x08000000", "bytes": 0x4000},
            "model": {"base": "0x08004000", "bytes": 0xC000},
            "ram": {"base": "0x20000000", "bytes": 0x8000},
            "stack_bytes": 4096,
        },
        "runner": {"kind": "qemu", "machine": "some-machine"},
    }
    for name, value in changes.items():
        (data["memory"] if name in data["memory"] else data)[name] = value
    return data


def test_addresses_may_be_written_in_hexadecimal() -> None:
    memory = Board.model_validate(board_data()).memory
    assert memory.model.base == 0x08004000
    assert memory.model.end == 0x08010000
    assert memory.batch is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": {"base": "0x08004008", "bytes": 0x100}}, "aligned"),
        ({"model": {"base": "0x08003ff0", "bytes": 0x100}}, "overlap"),
        ({"model": {"base": "0x08004000", "bytes": 0xC010}}, "lie in flash"),
        ({"flash": None}, "go together"),
        ({"name": "x" * 24}, "pattern"),
        ({"cpu": "x" * 16}, "15 characters"),
        ({"runner": {"kind": "other"}}, "kind"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_wrong_boards_are_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Board.model_validate(board_data(**changes))


def test_names_and_aliases_are_unique_and_found() -> None:
    names = [name for board in list_boards() for name in (board.name, *board.aliases)]
    assert len(set(names)) == len(names)
    for board in list_boards():
        assert all(find_board(name) is board for name in (board.name, *board.aliases))
    assert find_board("qemu").name == "qemu-mps2-an386"
    assert find_board("native") is list_boards()[0]


def test_unknown_board_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        find_board("nonesuch")
    assert "'nonesuch'" in str(caught.value)
    assert caught.value.hint is not None
    assert "qemu-mps2-an386" in caught.value.hint


def test_every_board_asks_for_a_known_instruction_set() -> None:
    assert {board.isa for board in list_boards()} <= set(native.table("isa"))


def test_what_a_core_includes_ends_at_any() -> None:
    """The loader walks from row to row until there."""
    rows = native.table("isa")
    for start in rows:
        name, seen = start, set()
        while name != "any":
            assert name not in seen
            seen.add(name)
            name = rows[name].columns[0]
    assert rows["any"].columns[0] == "any"


@pytest.mark.parametrize(
    ("core", "runs"),
    [
        ("any", {"any"}),
        ("armv7m", {"any", "armv7m"}),
        ("armv7em", {"any", "armv7m", "armv7em"}),
        ("armv8m_main_dsp", {"any", "armv7m", "armv7em", "armv8m_main_dsp"}),
    ],
)
def test_a_core_runs_what_its_instruction_set_includes(core: str, runs: set[str]) -> None:
    header = native.layout("image_header")
    image = bytearray(small_image("dense"))
    offset = next(field.offset for field in header.fields if field.name == "target_isa")
    for name, row in native.table("isa").items():
        image[offset : offset + 2] = row.id.to_bytes(2, "little")
        status = native.check_image(with_crc(image), isa=core).status
        assert native.name_of("status", status) == ("ok" if name in runs else "bad_isa")


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("qemu:cortex-m3", "qemu-mps2-an385"),
        ("qemu:cortex-m4", "qemu-mps2-an386"),
        ("qemu:cortex-m7", "qemu-mps2-an500"),
        ("qemu:cortex-m33", "qemu-mps2-an505"),
        ("qemu:cortex-m55", "qemu-mps3-an547"),
    ],
)
def test_a_core_names_its_board(alias: str, name: str) -> None:
    board = find_board(alias)
    assert board.name == name
    assert alias == f"qemu:{board.cpu}"


def test_build_id_depends_on_every_source_and_on_its_name(tmp_path: Path) -> None:
    build_id = runpy.run_path(str(sources_root() / "firmware" / "build_id.py"))["build_id"]
    for name in ("CMakeLists.txt", "firmware/a.c", "firmware/b/c.def", "cmsis_kernels/d.h"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    first = build_id(tmp_path)
    (tmp_path / "firmware" / "notes.txt").write_text("no source")
    assert build_id(tmp_path) == first
    (tmp_path / "firmware" / "a.c").rename(tmp_path / "firmware" / "z.c")
    renamed = build_id(tmp_path)
    assert renamed != first
    (tmp_path / "cmsis_kernels" / "d.h").write_text("changed")
    assert build_id(tmp_path) not in {first, renamed}


def test_native_module_was_built_from_these_sources() -> None:
    assert native.build_id().hex() == firmware.sources_build_id(), "stale module: run make setup"


def test_native_board_has_no_firmware() -> None:
    with pytest.raises(ValueError, match="has no firmware"):
        firmware.ensure_firmware(find_board("native"))


def test_without_compiler_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingToolError) as caught:
        firmware.build_firmware(find_board("qemu"), tmp_path)
    assert caught.value.tool == "arm-none-eabi-gcc"
    assert "gcc-arm-none-eabi" in caught.value.command


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"no ELF file at all" * 10])
def test_other_files_are_not_taken_for_firmware(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.elf"
    path.write_bytes(content)
    with pytest.raises(TargetError, match="is not edgesparse firmware"):
        firmware.read_firmware(path)


def test_host_program_is_not_firmware() -> None:
    program = shutil.which("sh")
    assert program is not None
    with pytest.raises(TargetError, match="is not edgesparse firmware"):
        firmware.read_firmware(Path(program))
