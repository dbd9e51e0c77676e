"""The inner loops that x86-64 has in a form of its own, against the plain C of all other hosts.

Where this computer is none, both builds are the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import native

EXAMPLES = int(os.environ.get("EDGESPARSE_EXAMPLES", "60"))
ROOT = Path(__file__).resolve().parents[2]
INCLUDES = [f"-I{ROOT}/cmsis_kernels/{name}" for name in ("include", "tables", "src/support")]
SOURCES = [Path(__file__).with_name("inner_loops.c"), ROOT / "cmsis_kernels/src/support/es_size.c"]
ROWS = 4

DECLARATIONS = """
void tile(const void *channels, const void *weights, const void *first, const void *second,
          const void *walk, void *output, void *sums, void *scratch);
void dot(void *acc, const void *rows, const void *column, uint32_t groups, void *scratch);
void widen(const void *taps, void *filter);
void three(const void *channel, const void *filter, const void *image, uint32_t pitch,
           uint32_t lines, uint32_t width, uint32_t stride, void *output);
"""


@dataclass(frozen=True)
class Loops:
    """Both builds, of which the second one is plain C."""

    ffi: FFI
    forms: tuple[Any, Any]

    def view(self, array: NDArray[Any]) -> Any:
        return self.ffi.from_buffer(array)


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Loops:
    folder = tmp_path_factory.mktemp("loops")
    ffi = FFI()
    ffi.cdef(DECLARATIONS)
    forms = []
    for name, flags in (("own", []), ("plain", ["-U__SSE2__"])):
        library = folder / f"{name}.so"
        compiler = ["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
        command = [*compiler, *flags, *INCLUDES, *map(str, SOURCES), "-o", str(library)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        forms.append(ffi.dlopen(str(library)))
    return Loops(ffi, (forms[0], forms[1]))


def drawn(random: np.random.Generator, count: int) -> NDArray[np.int8]:
    """Values of any size, or the ends alone."""
    values = random.integers(-128, 128, count)
    if random.random() < 0.3:
        values = random.choice(np.array([-128, 127]), count)
    return values.astype(np.int8)


def channels_of(random: np.random.Generator, count: int) -> bytes:
    """Channels of the short requantisation with multipliers, shifts and roundings at all ends."""
    pack = native.layout("channel").pack
    found = []
    for _ in range(count):
        shift, zero_point = int(random.integers(1, 23)), int(random.integers(-128, 128))
        found.append(
            pack(
                bias=int(random.integers(-(2**24), 2**24)),
                multiplier=int(random.choice([0, 2**30, 2**31 - 1, random.integers(2**30, 2**31)])),
                shift=shift,
                rounding=(1 << (shift - 1)) + zero_point * (1 << shift),
            )
        )
    return b"".join(found)


SEEDS = st.integers(0, 2**32 - 1).map(np.random.default_rng)
each = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def test_tile(loops: Loops) -> None:
    @each
    @given(SEEDS, st.integers(1, 3), st.integers(1, 20), st.integers(0, 3))
    def check(random: np.random.Generator, runs: int, run_groups: int, more: int) -> None:
        walk = np.array([runs, run_groups, run_groups + more], np.uint32)
        groups = (runs - 1) * (run_groups + more) + run_groups
        weights = drawn(random, ROWS * runs * run_groups * 4)
        first, second = drawn(random, groups * 4), drawn(random, groups * 4)
        channels = channels_of(random, ROWS)
        found = []
        for form in loops.forms:
            output, sums = np.zeros((2, ROWS), np.int8), np.zeros((ROWS, 2), np.int32)
            scratch = np.zeros(2 * groups + 4 * runs * run_groups + 21, np.uint32)
            arrays = (first, second, walk, output, sums, scratch)
            form.tile(channels, loops.view(weights), *map(loops.view, arrays))
            found.append((output, sums))
        for own, plain in zip(*found, strict=True):
            assert own.tolist() == plain.tolist()
        taps = [r * (run_groups + more) * 4 + i for r in range(runs) for i in range(run_groups * 4)]
        rows = weights.reshape(ROWS, -1).astype(np.int64)
        bias = [native.layout("channel").unpack(channels, 16 * row)["bias"] for row in range(ROWS)]
        expected = [rows @ column[taps].astype(np.int64) + bias for column in (first, second)]
        assert found[0][1].T.tolist() == np.array(expected).tolist()

    check()


def test_dot(loops: Loops) -> None:
    @each
    @given(SEEDS, st.integers(0, 70))
    def check(random: np.random.Generator, groups: int) -> None:
        rows, column = drawn(random, ROWS * groups * 4), drawn(random, groups * 4)
        # Sums wrap.
        start = random.integers(-(2**31), 2**31, ROWS).astype(np.int32)
        products = rows.reshape(ROWS, groups * 4).astype(np.int64) @ column.astype(np.int64)
        for form in loops.forms:
            acc, scratch = start.copy(), np.zeros(groups + 1, np.uint32)
            view = loops.view
            form.dot(view(acc), view(rows), view(column), groups, view(scratch))
            assert acc.tolist() == (start + products).astype(np.int32).tolist()

    check()


def test_three(loops: Loops) -> None:
    @each
    @given(SEEDS, st.integers(1, 4), st.integers(2, 13), st.sampled_from([1, 2]))
    def check(random: np.random.Generator, lines: int, width: int, stride: int) -> None:
        pitch = 2 * (width + 1) + 2
        height = (lines - 1) * stride + 3
        image = drawn(random, (height - 1) * pitch + (width - 1) * stride + 3).astype(np.int16)
        taps, channel = drawn(random, 9), channels_of(random, 1)
        found = []
        for form in loops.forms:
            output, filter_words = np.full((lines, width, 4), 99, np.int8), np.zeros(6, np.uint32)
            form.widen(loops.view(taps), loops.view(filter_words))
            arguments = (pitch, lines, width, stride, loops.view(output))
            form.three(channel, loops.view(filter_words), loops.view(image), *arguments)
            found.append(output.tolist())
        assert found[0] == found[1]
        assert np.all(np.array(found[0])[:, :, 1:] == 99)

    check()
