"""Firmware as a file of the user's: written whole or for one model, and used when it is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgesparse import native
from edgesparse.deploy.boards import Board, find_board
from edgesparse.deploy.firmware import (
    Firmware,
    build_firmware,
    ensure_firmware,
    read_firmware,
    sources_build_id,
)
from edgesparse.encode.cost import CPUS, DEFAULT_CPU
from edgesparse.errors import TargetError, UsageError
from edgesparse.files import read_file, write_file
from edgesparse.image import Image
from edgesparse.pipeline import Destination, Recipe, prepare_image

__all__ = ["PARTS", "export_firmware", "given_firmware", "kernels_of", "parts_of"]

SCHEMA_VERSION = 1

# Of cmsis_kernels/include/es_parts.h. No image needs sparsify: weights are set to zero on the host.
PARTS = (
    *("sparsify", "classes", "depthwise_window", "depthwise_general"),
    *("three_64", "three_128", "three_256", "three_512", "three_1008"),
)


def kernels_of(image: Image) -> tuple[str, ...]:
    """Names of the kernels that an image runs, in the order of kernels.def."""
    ids = {node["kernel"] for node in image.nodes}
    return tuple(name for name, row in native.table("kernel").items() if row.id in ids)


def parts_of(image: Image) -> frozenset[str]:
    """Which of PARTS an image needs, or is faster with."""
    parts = set()
    depthwise = native.number("kernel", "depthwise_conv_2d_dense_s8")
    for node, params in zip(image.nodes, image.node_params(), strict=True):
        if node["op"] == native.number("op", "conv_2d"):
            if native.layout("conv_params").unpack(params)["classes"]:
                parts.add("classes")
        elif node["kernel"] == depthwise:
            parts.add(_depthwise_part(depthwise, params))
    return frozenset(parts)


def _depthwise_part(kernel: int, params: bytes) -> str:
    if native.scratch_bytes(kernel, params) == 0:
        return "depthwise_window"
    pitch = native.pitch_bytes(params)
    return f"three_{pitch}" if pitch else "depthwise_general"


def export_firmware(
    board_name: str,
    output: Path | None,
    *,
    only_ops: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write the firmware of a board into a file; return what it is, as a document.

    Args:
        board_name: a board that has firmware.
        output: where to; None for ``<board>.elf`` in the working directory.
        only_ops: a .tflite or .esm; the firmware gets only the operators and kernels that its image
            uses, and refuses images with others.
        progress: called with a line of text before something that takes seconds.

    Raises:
        MissingToolError: it has to be built, and the Arm compiler, CMake or Ninja is missing.
        TargetError: it does not build.
        UsageError: the board has no firmware, or a file cannot be read or written.
    """
    board = find_board(board_name)
    if not board.has_firmware:
        raise UsageError(f"board {board.name} has no firmware")
    output = Path(f"{board.name}.elf") if output is None else output
    if only_ops is None:
        data = read_file(ensure_firmware(board, progress=progress).path)
    else:
        cpu = board.cpu if board.cpu in CPUS else DEFAULT_CPU
        image = prepare_image(only_ops, Recipe(), Destination(cpu=cpu))
        data = _build_for(board, image, progress)
    write_file(output, data)
    firmware = read_firmware(output)
    return {
        "schema_version": SCHEMA_VERSION,
        "board": board.name,
        "output": str(output),
        "build_id": firmware.build_id,
        "flash_bytes": firmware.flash_bytes,
        "ram_bytes": firmware.ram_bytes,
        "kernels": list(firmware.kernels),
    }


def _build_for(board: Board, image: Image, progress: Callable[[str], None] | None) -> bytes:
    if progress is not None:
        progress(f"building the firmware of {board.name} for {image.meta.name}")
    with TemporaryDirectory(prefix="edgesparse-") as folder:
        without = [part for part in PARTS if part not in parts_of(image)]
        kernels = kernels_of(image)
        return read_file(build_firmware(board, Path(folder), only=kernels, without=without).path)


def given_firmware(path: Path, board: Board) -> Firmware:
    """The firmware in a file that somebody names, as export_firmware writes them.

    Raises:
        TargetError: it is no firmware, for another board, or not made from the sources at hand.
        UsageError: the board has none.
    """
    if not board.has_firmware:
        raise UsageError(f"board {board.name} has no firmware, {path} cannot be used")
    firmware = read_firmware(path)
    memory = board.memory
    arena_end = firmware.arena_base + firmware.arena_bytes
    places = (firmware.model_base, firmware.model_bytes, arena_end)
    if places != (memory.model.base, memory.model.bytes, memory.ram.end & ~15):
        raise TargetError(f"{path} is firmware for another board than {board.name}")
    if firmware.build_id not in (sources_build_id(), sources_build_id(firmware.kernels)):
        hint = f"make it again: edgesparse firmware --board {board.name} -o {path}"
        raise TargetError(f"{path} was built from other sources", hint=hint)
    return firmware
