"""Activation thresholds on every target: every code, at sizes that are no whole turns of a loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgesparse.deploy.boards import Board
from edgesparse.encode import encode
from edgesparse.image import build_image
from tests.devices import run_rows
from tests.kernels.test_activation_thresholds import cut, table_model


@pytest.mark.parametrize(("zero_point", "codes"), [(-128, 12), (-128, 127), (5, 30), (127, 1)])
def test_every_code(board: Board, zero_point: int, codes: int) -> None:
    count = 285
    plain = table_model(count, zero_point)
    model = replace(plain, thresholds={plain.outputs[0]: codes})
    row = np.resize(np.arange(-128, 128), count).astype(np.int8)
    wanted, changed = cut(model, row)
    (run,) = run_rows(board, build_image(encode(model)), [row.reshape(1, 1, count)])
    assert run.outputs[0] == wanted.tobytes()
    assert run.layers[0].activation_zeros == np.count_nonzero(wanted == zero_point)
    assert run.layers[0].thresholded == changed
