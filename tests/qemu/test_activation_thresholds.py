"""Activation thresholds on every target: every code, at sizes that are no whole turns of a loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgesparse.deploy.boards import Board, find_board
from edgesparse.deploy.session import FLAG_HISTOGRAMS, FLAG_NO_ZEROS, FROM_LINK, Session
from edgesparse.encode import encode
from edgesparse.encode.cost import INSTRUCTIONS, MEASURED, Price
from edgesparse.image import build_image
from edgesparse.telemetry.runs import WindowResult
from tests.devices import power_on, run_rows
from tests.kernels.test_activation_thresholds import cut, table_model


@pytest.mark.parametrize(("zero_point", "codes"), [(-128, 12), (-128, 127), (5, 30), (127, 1)])
def test_every_code(board: Board, zero_point: int, codes: int) -> None:
    count = 285
    plain = table_model(count, zero_point)
    model = replace(plain, thresholds={plain.outputs[0]: codes})
    row = np.resize(np.arange(-128, 128), count).astype(np.int8)
    wanted, changed = cut(model, row)
    image = build_image(encode(model))
    (run,) = run_rows(board, image, [row.reshape(1, 1, count)])
    assert run.outputs[0] == wanted.tobytes()
    assert run.layers[0].activation_zeros == np.count_nonzero(wanted == zero_point)
    assert run.layers[0].thresholded == changed
    (uncounted,) = run_rows(board, image, [row.reshape(1, 1, count)], flags=FLAG_NO_ZEROS)
    assert uncounted.outputs == run.outputs
    assert uncounted.layers[0].activation_zeros == uncounted.layers[0].thresholded == 0


@pytest.mark.parametrize("zero_point", [-128, 5])
@pytest.mark.parametrize("cpu", MEASURED)
def test_it_costs_what_is_predicted(cpu: str, zero_point: int) -> None:
    board = find_board(f"qemu:{cpu}")
    plain = table_model(1536, zero_point)
    model = replace(plain, thresholds={plain.outputs[0]: 30})
    row = np.resize(np.arange(-128, 128), (1, 1, 1536)).astype(np.int8)
    before, after = (run_rows(board, build_image(encode(m)), [row])[0] for m in (plain, model))
    counted = after.layers[0].count - before.layers[0].count
    wanted = Price(cpu, INSTRUCTIONS).thresholds(model, model.outputs)
    assert abs(counted / wanted - 1) < 0.05


def test_windows_histograms_and_saturation_are_of_what_is_left(board: Board) -> None:
    plain = table_model(256, 5)
    model = replace(plain, thresholds={plain.outputs[0]: 125})
    row = np.arange(-128, 128).astype(np.int8)
    wanted, changed = cut(model, row)
    image = build_image(encode(model))
    (node,) = image.nodes
    ends = [end for bit, end in ((1, -128), (2, 127)) if node["flags"] & bit]
    assert ends
    with power_on(board, image.device_bytes(), arena_bytes=image.arena_bytes) as target:
        session = Session(target)
        session.hello()
        session.send_input(0, row.tobytes())
        (window,) = session.watch(FROM_LINK, 1, every=2, flags=FLAG_HISTOGRAMS)
    assert isinstance(window, WindowResult)
    (layer,) = window.layers
    assert layer.activation_zeros_sum == np.count_nonzero(wanted == 5)
    assert layer.thresholded_sum == changed
    assert layer.saturated_sum == np.isin(wanted, ends).sum()
    (bins,) = window.histograms.values()
    assert list(bins) == np.bincount((wanted.astype(np.int64) + 128) >> 4, minlength=16).tolist()
