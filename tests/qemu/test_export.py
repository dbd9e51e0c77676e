"""Firmware as a file: its size, cut down to one model, used where it is named."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgesparse.cli import main
from edgesparse.deploy import export, firmware
from edgesparse.deploy.boards import Board, find_board, list_boards
from edgesparse.deploy.firmware import Firmware, ensure_firmware, read_firmware
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.deploy.session import Session
from edgesparse.encode import encode
from edgesparse.errors import ImageRefusedError, TargetError, UsageError
from edgesparse.image import Image, build_image
from edgesparse.model import parse_model
from edgesparse.pipeline import Recipe, convert_model
from tests.devices import batch_bytes, run_native
from tests.tflite_builder import Builder

ROOT = Path(__file__).resolve().parents[2]
BOARDS = [arm_board for arm_board in list_boards() if arm_board.has_firmware]
KB = 1024


@pytest.fixture(params=BOARDS, ids=lambda arm_board: arm_board.name)
def arm_board(request: pytest.FixtureRequest) -> Board:
    return request.param


@pytest.fixture(scope="module")
def size_report() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "host" / "size_report.py")))


@pytest.fixture(scope="module")
def for_one_operator(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    """Firmware of the QEMU board for a model of one fully connected layer."""
    folder = tmp_path_factory.mktemp("one")
    (folder / "m.esm").write_bytes(one_layer().data)
    export.export_firmware("qemu", folder / "m.elf", only_ops=folder / "m.esm")
    return read_firmware(folder / "m.elf")


def one_layer_model() -> bytes:
    b = Builder()
    x = b.input((1, 4), 0.5)
    w = b.constant(np.array([[1, 2, 3, 4]] * 2, np.int8), 0.5)
    b.output(b.fully_connected(x, w, scale=1.0))
    return b.finish()


def one_layer() -> Image:
    return convert_model(parse_model(one_layer_model(), name="m"), Recipe())[0]


@pytest.fixture(scope="module")
def for_narrow_rows(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    """Firmware of the QEMU board for two_layers(6), which needs the loops of one pitch."""
    folder = tmp_path_factory.mktemp("narrow")
    (folder / "m.esm").write_bytes(two_layers(6).data)
    export.export_firmware("qemu", folder / "m.elf", only_ops=folder / "m.esm")
    return read_firmware(folder / "m.elf")


def two_layers(width: int, *, padding: str = "SAME", dead: int = 0) -> Image:
    """DEPTHWISE_CONV_2D of 3 x `width` inputs and CONV_2D; channels with `dead` are constant."""
    rng = np.random.default_rng(width)
    b = Builder()
    x = b.input((1, 3, width, 8), 0.05, -128)
    filters = rng.integers(-127, 128, (8, 1, 1, 8)).astype(np.int8)
    filters[8 - dead :] = 0
    w = b.constant(filters, 0.01)
    bias = b.bias(rng.integers(3000, 5000, 8), x, w)
    y = b.conv_2d(x, w, bias, scale=0.05, zero_point=-128)
    d = b.constant(rng.integers(-127, 128, (1, 3, 3, 8)).astype(np.int8), 0.01, axis=3)
    bias = b.bias(np.zeros(8), y, d)
    y = b.depthwise_conv_2d(y, d, bias, scale=0.1, padding=padding)
    v = b.constant(rng.integers(-127, 128, (3, 1, 1, 8)).astype(np.int8), 0.01)
    b.output(b.conv_2d(y, v, b.bias(np.arange(3), y, v), scale=0.3))
    return build_image(encode(parse_model(b.finish(), name="m"), encoding="dense"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_whole_firmware_takes_at_most_64_kb(arm_board: Board) -> None:
    assert ensure_firmware(arm_board).flash_bytes <= 64 * KB


def test_size_report_accounts_for_every_byte(
    arm_board: Board, size_report: SimpleNamespace
) -> None:
    sizes = size_report.measure(arm_board)
    built = ensure_firmware(arm_board)
    assert sum(sizes.parts.values()) == sizes.flash_bytes == built.flash_bytes
    assert set(sizes.parts) == {*size_report.PARTS, "padding"}
    assert 0 <= sizes.parts["padding"] < KB
    assert f"**{built.flash_bytes:,}**" in size_report.table([sizes])


def test_firmware_for_ds_cnn_kws_takes_at_most_24_kb(shared_models: Path, tmp_path: Path) -> None:
    model = shared_models / "ds_cnn_kws" / "ds_cnn_kws.tflite"
    document = export.export_firmware("qemu", tmp_path / "f.elf", only_ops=model)
    assert document["flash_bytes"] <= 24 * KB
    assert document["flash_bytes"] == read_firmware(tmp_path / "f.elf").flash_bytes


def test_has_just_the_kernels_of_the_model(for_one_operator: Firmware) -> None:
    kernels = export.kernels_of(one_layer())
    assert len(kernels) == 1
    assert for_one_operator.kernels == kernels
    whole = ensure_firmware(find_board("qemu"))
    assert for_one_operator.flash_bytes < whole.flash_bytes / 2
    assert for_one_operator.build_id != whole.build_id
    assert for_one_operator.build_id == firmware.sources_build_id(kernels)


def test_parts_are_those_of_the_c_sources() -> None:
    header = ROOT / "cmsis_kernels" / "include" / "es_parts.h"
    defined = re.findall(r"^#define ES_HAS_(\w+) 1$", header.read_text(), flags=re.MULTILINE)
    assert tuple(defined) == export.PARTS


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        (one_layer(), set()),
        (two_layers(6), {"three_64"}),
        (two_layers(7), {"three_128"}),
        (two_layers(40), {"three_512"}),
        (two_layers(200), {"depthwise_general"}),
        (two_layers(3, padding="VALID"), {"depthwise_window"}),
        (two_layers(6, dead=4), {"three_64", "classes"}),
    ],
    ids=["none", "pitch 64", "pitch 128", "pitch 512", "too wide", "window", "classes"],
)
def test_parts_that_an_image_needs(image: Image, parts: set[str]) -> None:
    assert export.parts_of(image) == parts


@pytest.mark.parametrize("width", [6, 7, 40, 200])
def test_runs_any_width_without_its_loop(for_narrow_rows: Firmware, width: int) -> None:
    image = two_layers(width)
    rows = [np.random.default_rng(1).integers(-128, 128, (2, 3 * width * 8)).astype(np.int8)]
    board, batch = find_board("qemu"), batch_bytes(rows)
    device = image.device_bytes()
    with QemuTarget(board, for_narrow_rows.path, image=device, batch=batch) as target:
        session = Session(target)
        session.hello()
        outputs = [result.outputs for result in session.run(0, 2)]
    assert outputs == [result.outputs for result in run_native(image, rows)]
    assert outputs[0] != outputs[1]


@pytest.mark.parametrize(
    "image",
    [two_layers(3, padding="VALID"), two_layers(6, dead=4)],
    ids=["window", "classes"],
)
def test_refuses_what_needs_another_part(for_narrow_rows: Firmware, image: Image) -> None:
    device = image.device_bytes()
    with (
        QemuTarget(find_board("qemu"), for_narrow_rows.path, image=device) as target,
        pytest.raises(ImageRefusedError, match="left_out") as refused,
    ):
        Session(target).hello()
    assert refused.value.hint is not None
    assert "without --firmware" in refused.value.hint


def test_runs_its_model_and_refuses_others(
    capsys: pytest.CaptureFixture[str], for_one_operator: Firmware, tmp_path: Path
) -> None:
    path = tmp_path / "m.esm"
    path.write_bytes(one_layer().data)
    common = ["--firmware", str(for_one_operator.path), "--runs", "2"]
    code, out, _ = run(capsys, "deploy", str(path), *common, "--json", "--log", str(tmp_path / "a"))
    document = json.loads(out)
    assert (code, document["runs"]) == (0, 2)
    assert document["firmware_build_id"] == for_one_operator.build_id
    code, _, err = run(capsys, "deploy", *common, "--log", str(tmp_path / "b"))
    assert code == 4
    assert "bad_op" in err


def test_verb_writes_the_whole_firmware(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = ensure_firmware(find_board("qemu"))
    code, out, _ = run(capsys, "firmware", "--json")
    document = json.loads(out)
    assert code == 0
    assert Path(document["output"]).read_bytes() == whole.path.read_bytes()
    assert document["kernels"] == list(whole.kernels)
    code, out, _ = run(capsys, "firmware", "-o", "x.elf")
    size, kernels = f"{whole.flash_bytes:,}", ", ".join(whole.kernels)
    assert (code, out) == (0, f"wrote x.elf: {size} bytes of flash; kernels {kernels}\n")
    assert export.given_firmware(Path("x.elf"), find_board("qemu")).build_id == whole.build_id


def test_for_one_model_sets_no_weights_to_zero(
    capsys: pytest.CaptureFixture[str], for_one_operator: Firmware, tmp_path: Path
) -> None:
    (tmp_path / "m.tflite").write_bytes(one_layer_model())
    code, _, err = run(
        *(capsys, "deploy", str(tmp_path / "m.tflite"), "--firmware", str(for_one_operator.path)),
        *("--sparsify-on-device", "relative=0.5", "--runs", "1", "--log", str(tmp_path / "log")),
    )
    assert code == 6
    assert "the device refused SPARSIFY: left_out" in err
    assert "without --firmware" in err


def test_native_has_no_firmware(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="native has no firmware"):
        export.export_firmware("native", tmp_path / "x.elf")
    assert main(["deploy", "--board", "native", "--firmware", str(tmp_path / "x.elf")]) == 2


def test_stale_and_foreign_firmware_is_not_used(
    for_one_operator: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = find_board("qemu")
    ram = board.memory.ram.model_copy(update={"bytes": board.memory.ram.bytes * 2})
    other = board.model_copy(update={"memory": board.memory.model_copy(update={"ram": ram})})
    with pytest.raises(TargetError, match="is firmware for another board than"):
        export.given_firmware(for_one_operator.path, other)
    monkeypatch.setattr(export, "sources_build_id", lambda only=(): "0" * 32)
    with pytest.raises(TargetError, match="was built from other sources") as caught:
        export.given_firmware(for_one_operator.path, board)
    assert caught.value.hint is not None
    assert "edgesparse firmware" in caught.value.hint
