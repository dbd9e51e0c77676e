"""Building firmware: when it happens, what it makes, what is said when it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgesparse.deploy import firmware
from edgesparse.deploy.boards import Board, find_board, list_boards, sources_root
from edgesparse.deploy.open import FIRMWARE_VARIABLES_BYTES
from edgesparse.errors import TargetError

BOARDS = [each for each in list_boards() if each.has_firmware]
FLASH_BYTES_MAX = 65536


@pytest.fixture
def arm_board() -> Board:
    """Any one: how firmware is built does not depend on the board."""
    return find_board("qemu")


BUILD_TWICE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from edgesparse.deploy import firmware
from edgesparse.deploy.boards import find_board

firmware._build_folder = lambda _: Path(sys.argv[2])
with ThreadPoolExecutor() as executor:
    boards = [find_board(sys.argv[1])] * 2
    built = executor.map(lambda board: firmware.ensure_firmware(board, progress=print), boards)
print(*{f"{each.path} {each.build_id}" for each in built}, sep="\\n")
"""


def test_is_built_once_by_whoever_comes_first(arm_board: Board, tmp_path: Path) -> None:
    """Two processes of two threads each."""
    command = [sys.executable, "-c", BUILD_TWICE, arm_board.name, str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [line for worker in workers for line in worker.communicate()[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0, 0]
    one = f"{tmp_path / arm_board.name}.elf {firmware.sources_build_id()}"
    assert sorted(said) == sorted([f"building the firmware of {arm_board.name}", one, one])


def test_is_built_again_when_the_sources_have_changed(
    arm_board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware, "_build_folder", lambda _: tmp_path)
    first = firmware.ensure_firmware(arm_board)
    monkeypatch.setattr(firmware, "sources_build_id", lambda: "0" * 32)
    said: list[str] = []
    assert firmware.ensure_firmware(arm_board, progress=said.append).build_id == first.build_id
    assert said


def test_same_sources_give_the_same_bytes_anywhere(arm_board: Board, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "another place"]
    for folder in folders:
        folder.mkdir()
    one, other = (
        firmware.build_firmware(arm_board, folder).path.read_bytes() for folder in folders
    )
    assert one == other
    for place in (str(sources_root()), str(tmp_path), str(Path.home())):
        assert place.encode() not in one


@pytest.mark.parametrize("each", BOARDS, ids=lambda each: each.name)
def test_fits_its_memory(each: Board) -> None:
    built = firmware.ensure_firmware(each)
    assert each.memory.firmware is not None
    assert built.flash_bytes <= min(each.memory.firmware.bytes, FLASH_BYTES_MAX)
    assert built.ram_bytes <= each.memory.stack_bytes + FIRMWARE_VARIABLES_BYTES
    assert built.arena_bytes > 0
    assert built.function_at(built.functions["es_reset_handler"] + 2) == "es_reset_handler"
    assert built.function_at(-1) is None


def test_says_what_the_compiler_said(arm_board: Board, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "main.c").write_text("int main(void) { return undeclared; }\n")
    with pytest.raises(TargetError, match="'undeclared' undeclared") as caught:
        firmware.build_firmware(arm_board, tmp_path, app=app)
    assert caught.value.hint is not None
    assert f"{arm_board.name}.log" in caught.value.hint
    assert not (tmp_path / f"{arm_board.name}.elf").exists()
