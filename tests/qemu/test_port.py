"""The port of every QEMU board, alone: counter, serial line, memory, reset, faults."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgesparse import native
from edgesparse.deploy.boards import Board, QemuRunner, find_board, list_boards
from edgesparse.deploy.firmware import Firmware, build_firmware
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.errors import DoesNotFitError, MissingToolError, TargetError

QEMU_BOARDS = [arm_board for arm_board in list_boards() if isinstance(arm_board.runner, QemuRunner)]
COUNTERS_THAT_WRAP = [find_board(name) for name in ("qemu-mps2-an386", "qemu-mps3-an547")]
UNDEFINED_INSTRUCTION = 1 << 16  # UFSR.UNDEFINSTR in CFSR
DATA_ACCESS = 1 << 1  # MMFSR.DACCVIOL in CFSR
STACKING = 1 << 4  # MMFSR.MSTKERR in CFSR
STACK_LIMIT = 1 << 20  # UFSR.STKOF in CFSR, ARMv8-M only
APP = Path(__file__).parent / "port_check"


@pytest.fixture(scope="module", params=QEMU_BOARDS, ids=lambda arm_board: arm_board.name)
def arm_board(request: pytest.FixtureRequest) -> Board:
    return request.param


@pytest.fixture(scope="module")
def firmware(arm_board: Board, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return build_firmware(arm_board, tmp_path_factory.mktemp("firmware"), app=APP)


class Device:
    """Commands and their answers."""

    def __init__(self, target: QemuTarget) -> None:
        self.target = target
        assert self.line() == "start"

    def line(self, timeout_s: float = 10.0) -> str:
        line = b""
        while not line.endswith(b"\n"):
            byte = self.target.read(1, timeout_s)
            assert byte, f"no answer after {line!r}"
            line += byte
        return line.decode().strip()

    def words(self, command: bytes, timeout_s: float = 10.0) -> list[str]:
        self.target.write(command)
        return self.line(timeout_s).split()

    def numbers(self, command: bytes, timeout_s: float = 10.0) -> list[int]:
        return [int(word) for word in self.words(command, timeout_s)]


@pytest.fixture
def device(arm_board: Board, firmware: Firmware) -> Iterator[Device]:
    batch = b"\xa5" * 100 if arm_board.memory.batch else b""
    with QemuTarget(arm_board, firmware.path, image=b"\x5a" * 100, batch=batch) as target:
        yield Device(target)


def in_place(arm_board: Board) -> list[int]:
    """First bytes of model and, if there is one, batch."""
    return [0x5A, 0xA5] if arm_board.memory.batch else [0x5A]


def test_describes_itself_as_board_json_does(
    device: Device, arm_board: Board, firmware: Firmware
) -> None:
    name, cpu, *numbers = device.words(b"i")
    assert (name, cpu) == (arm_board.name, arm_board.cpu)
    memory = arm_board.memory
    batch = memory.batch
    assert [int(number) for number in numbers] == [
        *(memory.model.base, memory.model.bytes),
        *(firmware.arena_base, firmware.arena_bytes),
        *((batch.base, batch.bytes) if batch else (0, 0)),
        *(
            15_625_000,
            1,
            native.number("unit", "instructions"),
            native.number("isa", arm_board.isa),
        ),
    ]


def test_arena_is_what_stack_and_variables_leave(arm_board: Board, firmware: Firmware) -> None:
    ram = arm_board.memory.ram
    assert firmware.arena_base % 16 == 0
    assert firmware.arena_base + firmware.arena_bytes == ram.end
    left = ram.bytes - firmware.ram_bytes - firmware.arena_bytes
    assert 0 <= left < 64  # alignment
    assert (firmware.model_base, firmware.model_bytes) == (
        arm_board.memory.model.base,
        arm_board.memory.model.bytes,
    )


def test_model_and_batch_lie_in_place(device: Device, arm_board: Board) -> None:
    assert device.numbers(b"m") == in_place(arm_board)


def test_counts_1000_nops_exactly_in_every_phase(device: Device) -> None:
    assert device.numbers(b"p") == [1002, 1002]  # with call and return


def test_counts_exactly_after_sleep(device: Device) -> None:
    counts = []
    for pause in range(40):
        time.sleep(0.0013 * (pause % 7))
        counts.append(device.numbers(b"n")[0])
    assert counts == [1002] * 40


def test_counts_loops_of_any_length_exactly(device: Device) -> None:
    around = device.numbers(b"l")
    assert around == [around[0]] * 5  # what is left does not depend on the turns
    assert around[0] < 100


@pytest.mark.parametrize(
    "arm_board", COUNTERS_THAT_WRAP, ids=lambda board: board.name, indirect=True, scope="module"
)
def test_counts_on_when_the_timer_wraps(device: Device) -> None:
    device.words(b"s")
    loops, total = device.numbers(b"L", 120.0)
    assert loops == 7 * 2 * 200_000_000
    assert loops < total < loops + 10_000
    assert total * 8 // 5 > 2**32  # an instruction is 8/5 ticks or more


def test_reset_counts_and_leaves_memory(device: Device, arm_board: Board) -> None:
    device.words(b"w")
    for boot_count in (2, 3):
        device.target.write(b"r")
        assert device.line() == "start"
        assert int(device.words(b"i")[9]) == boot_count
    assert device.numbers(b"a") == [123]
    assert device.numbers(b"m") == in_place(arm_board)


def test_fault_says_what_and_where(device: Device, firmware: Firmware) -> None:
    word, detail, pc, lr = device.words(b"u")
    assert (word, int(detail)) == ("fault", UNDEFINED_INSTRUCTION)
    assert firmware.function_at(int(pc)) == "undefined"
    assert firmware.function_at(int(lr)) in {"answer", "main"}


def test_stack_overflow_faults_and_is_reported(device: Device) -> None:
    word, detail, *_ = device.words(b"d")
    assert word == "fault"
    assert int(detail) & (DATA_ACCESS | STACKING | STACK_LIMIT)


def test_echo_loses_nothing(device: Device) -> None:
    sent = bytes(range(256)) * 32
    device.target.write(b"e")
    sender = threading.Thread(target=device.target.write, args=[sent])
    sender.start()
    got = b""
    while len(got) < len(sent):
        piece = device.target.read(1000, 10.0)
        assert piece
        got += piece
    sender.join()
    assert got == sent


def test_read_takes_no_more_than_asked_and_times_out(device: Device) -> None:
    device.target.write(b"?")
    assert len(device.target.read(3, 10.0)) <= 3
    while device.target.read(100, 0.2):
        pass
    start = time.monotonic()
    assert device.target.read(100, 0.1) == b""
    assert time.monotonic() - start < 5


def processes(token: Path) -> list[int]:
    """Processes with `token` among their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(token).encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it has just ended
    return found


def wait_until_gone(token: Path) -> bool:
    end = time.monotonic() + 10
    while processes(token) and time.monotonic() < end:
        time.sleep(0.02)
    return not processes(token)


def test_the_stack_tells_how_much_of_it_was_used(device: Device, arm_board: Board) -> None:
    stack_bytes, before = device.numbers(b"h")
    assert stack_bytes == arm_board.memory.stack_bytes
    assert 0 < before < 1024
    device.words(b"D")
    _, after = device.numbers(b"h")
    assert 9 * 256 < after < before + 9 * (256 + 48)  # nine frames of 256 bytes and a little more
    assert device.numbers(b"h") == [stack_bytes, after]


def test_knows_why_it_started(device: Device) -> None:
    reasons = []
    for command in (b"", b"r", b"U", b"r"):
        if command:
            device.target.write(command)
            while device.line() != "start":
                pass
        reasons.append(native.name_of("reset_reason", device.numbers(b"b")[0]))
    assert reasons == ["power_on", "software", "fault", "software"]


def test_close_ends_qemu_and_may_be_called_again(arm_board: Board, firmware: Firmware) -> None:
    target = QemuTarget(arm_board, firmware.path)
    assert processes(firmware.path)
    target.close()
    target.close()
    assert wait_until_gone(firmware.path)


def test_no_qemu_outlives_its_python(arm_board: Board, firmware: Firmware) -> None:
    script = (
        "import os, sys, pathlib\n"
        "from edgesparse.deploy.boards import find_board\n"
        "from edgesparse.deploy.qemu import QemuTarget\n"
        "target = QemuTarget(find_board(sys.argv[1]), pathlib.Path(os.environ['ELF']))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", script, arm_board.name],
        env={**os.environ, "ELF": str(firmware.path)},
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    assert wait_until_gone(firmware.path)


def test_death_of_qemu_is_an_error_with_its_last_words(device: Device, firmware: Firmware) -> None:
    for process in processes(firmware.path):
        with contextlib.suppress(FileNotFoundError):  # a process that has ended meanwhile
            name = (Path("/proc") / str(process) / "comm").read_text()
            if name.startswith("qemu-system"):
                os.kill(process, signal.SIGKILL)
    with pytest.raises(TargetError, match="QEMU has ended: Killed"):
        device.target.read(1, 10.0)
    with pytest.raises(TargetError, match="QEMU has ended"):
        device.target.write(b"i")


def test_bad_start_says_what_qemu_said(arm_board: Board, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="Could not load kernel"):
        QemuTarget(arm_board, tmp_path / "none.elf")


def test_too_large_is_refused(arm_board: Board, firmware: Firmware) -> None:
    memory = arm_board.memory
    batch_bytes = memory.batch.bytes if memory.batch else 0
    with pytest.raises(DoesNotFitError) as model:
        QemuTarget(arm_board, firmware.path, image=bytes(memory.model.bytes + 1))
    assert model.value.missing == 1
    with pytest.raises(DoesNotFitError):
        QemuTarget(arm_board, firmware.path, batch=bytes(batch_bytes + 1))


def test_without_qemu_says_how_to_get_it(
    arm_board: Board, firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingToolError) as caught:
        QemuTarget(arm_board, firmware.path)
    assert caught.value.tool == "qemu-system-arm"
    assert caught.value.command.startswith("sudo apt-get install")
