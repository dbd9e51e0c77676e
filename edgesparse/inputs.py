"""Input rows: from an .npz file, or made up, to the int8 bytes that a device takes.

A model's integer inputs take rows of their own type as they are.

Arrays of the file, each with one row a sample:

- ``x``: the first model input; ``x1``, ``x2``, … the others.
- ``x_scale``, ``x_mean``: a float input is ``x * x_scale - x_mean`` in float32, one multiplication
  and one subtraction; they belong to ``x`` alone, and each may be missing.
- ``y``: labels.
- ``golden``, ``golden1``, …: expected model outputs.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import FormatError, UsageError
from edgesparse.meta import InputMeta, OutputMeta
from edgesparse.quantize import float_to_int, int8_to_float, requantize

__all__ = [
    "Inputs",
    "batch_bytes",
    "check_golden",
    "feeds_for",
    "load_inputs",
    "row_bytes",
    "rows_for",
]

MAX_FILE_BYTES = 2**31
"""Largest array that is read from a file, unpacked."""

_MODEL_TYPES = ("int8", "uint8", "int16", "float32")
_EXACT_IN_FLOAT32 = ("int8", "uint8", "int16", "uint16", "float16", "float32")
# What numpy and zipfile raise for damaged files.
_READ_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OSError,
    SyntaxError,
    RecursionError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What an .npz file holds.

    Args:
        x: one array for each model input, of shape [rows, …].
        y: labels, int64 of shape [rows], or None.
        golden: expected outputs, each of shape [rows, …].
        x_scale: float32, broadcasts to a row of x[0]; or None.
        x_mean: the same.
    """

    x: tuple[NDArray[Any], ...]
    y: NDArray[np.int64] | None = None
    golden: tuple[NDArray[Any], ...] = ()
    x_scale: NDArray[np.float32] | None = None
    x_mean: NDArray[np.float32] | None = None

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(self.x[0])


def load_inputs(path: Path) -> Inputs:
    """Read an .npz file.

    Raises:
        UsageError: it cannot be opened.
        FormatError: it is no .npz file, or its arrays do not fit each other.
    """
    arrays = _read_arrays(path)
    if "x" not in arrays:
        raise FormatError(f"{path}: no array 'x' (input rows) in it")
    inputs = Inputs(
        x=_numbered("x", arrays),
        y=_labels(path, arrays),
        golden=_numbered("golden", arrays),
        x_scale=_factor(path, "x_scale", arrays),
        x_mean=_factor(path, "x_mean", arrays),
    )
    named = [*zip(_names("x"), inputs.x, strict=False)]
    named += zip(_names("golden"), inputs.golden, strict=False)
    named += [] if inputs.y is None else [("y", inputs.y)]
    for name, array in named:
        if array.ndim == 0 or len(array) == 0:
            raise FormatError(f"{path}: '{name}' has no rows")
        if len(array) != inputs.rows:
            raise FormatError(f"{path}: '{name}' has {len(array)} rows, 'x' has {inputs.rows}")
    return inputs


def _names(first: str) -> Iterator[str]:
    """x, x1, x2, … without end."""
    return (first if i == 0 else f"{first}{i}" for i in count())


def _numbered(first: str, arrays: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    found: list[NDArray[Any]] = []
    for name in _names(first):
        if name not in arrays:
            return tuple(found)
        found.append(arrays[name])
    raise AssertionError


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                return {
                    info.filename.removesuffix(".npy"): _read_array(archive, info)
                    for info in archive.infolist()
                    if info.filename.endswith(".npy")
                }
        except _READ_ERRORS as error:
            problem = str(error) or type(error).__name__
            raise FormatError(f"{path}: not an .npz file that can be read: {problem}") from error


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    if info.file_size > MAX_FILE_BYTES:
        raise ValueError(f"{info.filename} has {info.file_size} bytes, more than {MAX_FILE_BYTES}")
    data = io.BytesIO(archive.read(info))
    read_array: Any = np.lib.format.read_array  # numpy 1 has no types for it
    array: NDArray[Any] = read_array(data, allow_pickle=False)
    return array


def _labels(path: Path, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
    y = arrays.get("y")
    if y is None:
        return None
    if y.dtype.kind not in "iu" or y.ndim == 0 or y.size != len(y):
        raise FormatError(f"{path}: 'y' is {_describe(y)}, labels are one integer a row")
    return y.reshape(-1).astype(np.int64)


def _factor(
    path: Path, name: str, arrays: Mapping[str, NDArray[Any]]
) -> NDArray[np.float32] | None:
    factor = arrays.get(name)
    if factor is None:
        return None
    row_shape = arrays["x"].shape[1:]
    if factor.dtype.kind not in "fiu" or not _broadcasts(factor.shape, row_shape):
        raise FormatError(f"{path}: '{name}' is {_describe(factor)}, a row of 'x' {row_shape}")
    with np.errstate(over="ignore"):
        return factor.astype(np.float32)


def _broadcasts(shape: tuple[int, ...], row_shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, row_shape) == row_shape
    except ValueError:
        return False


def _describe(array: NDArray[Any]) -> str:
    return f"{array.dtype.name} {list(array.shape)}"


def check_golden(model_outputs: Sequence[OutputMeta], inputs: Inputs) -> None:
    """Raise FormatError unless the expected outputs have the model's shapes and dtypes."""
    if len(inputs.golden) > len(model_outputs):
        raise FormatError(
            f"{len(inputs.golden)} arrays 'golden', the model has {len(model_outputs)} outputs"
        )
    for name, golden, output in zip(_names("golden"), inputs.golden, model_outputs, strict=False):
        if golden.dtype.name != output.dtype or golden[0].size != math.prod(output.shape):
            raise FormatError(
                f"'{name}' is {_describe(golden)}, output '{output.name}' of the model is"
                f" {output.dtype} {list(output.shape)} a row"
            )


def _check_inputs(model_inputs: Sequence[InputMeta], inputs: Inputs) -> None:
    names = [name for _, name in zip(model_inputs, _names("x"), strict=False)]
    if len(inputs.x) != len(model_inputs):
        listed = ", ".join(names)
        raise FormatError(
            f"{len(inputs.x)} arrays 'x', the model has {len(model_inputs)} inputs ({listed})"
        )
    for name, x, model_input in zip(names, inputs.x, model_inputs, strict=True):
        _check_input(name, x, model_input, scaled=name == "x" and _is_scaled(inputs))


def _check_input(name: str, x: NDArray[Any], model_input: InputMeta, *, scaled: bool) -> None:
    _check_type(model_input)
    allowed: tuple[str, ...] = (model_input.dtype, "float32")
    if scaled:
        allowed += _EXACT_IN_FLOAT32
    if x.dtype.name not in allowed or x[0].size != model_input.bytes:
        raise FormatError(
            f"'{name}' is {_describe(x)}, input '{model_input.name}' of the model is"
            f" {model_input.dtype} {list(model_input.shape)} a row" + _remedy(x.dtype.name, allowed)
        )


def _remedy(dtype: str, allowed: Sequence[str]) -> str:
    if dtype in allowed:
        return ""
    if dtype in _EXACT_IN_FLOAT32:
        return "; scale it with 'x_scale' and 'x_mean'"
    return f"; give {' or '.join(sorted(set(allowed)))}"


def _check_type(model_input: InputMeta) -> None:
    if model_input.dtype not in _MODEL_TYPES:
        raise FormatError(f"input '{model_input.name}' of the model is {model_input.dtype}")


def _is_scaled(inputs: Inputs) -> bool:
    return inputs.x_scale is not None or inputs.x_mean is not None


def feeds_for(
    model_inputs: Sequence[InputMeta], inputs: Inputs | None, runs: Sequence[int]
) -> tuple[NDArray[Any], ...]:
    """Return what each model input is fed, of shape [runs, elements], flat.

    That is of the input's dtype; floats for an integer input are quantised as that is.  Run i takes
    row ``i % rows``.  Without inputs it takes a pseudo-random row of its own, the same on every
    computer and in every version: all values of the dtype, for float inputs all int8 values
    dequantised.

    Raises FormatError where the rows are not of the model's shapes and dtypes, and for NaN that is
    to be quantised.
    """
    if inputs is None:
        for model_input in model_inputs:
            _check_type(model_input)
        return tuple(_random_feed(i, m, runs) for i, m in enumerate(model_inputs))
    _check_inputs(model_inputs, inputs)
    rows = np.asarray(runs, dtype=np.int64) % inputs.rows
    feeds: list[NDArray[Any]] = []
    for i, (x, model_input) in enumerate(zip(inputs.x, model_inputs, strict=True)):
        values = x[rows]
        if i == 0 and _is_scaled(inputs) and not _is_codes(x, model_input):
            values = _scale(values, inputs)
        if _is_codes(values, model_input):
            feed = values.astype(model_input.dtype)
        else:
            feed = _fed(values.astype(np.float32), model_input)
        feeds.append(feed.reshape(len(rows), -1))
    return tuple(feeds)


def _fed(x: NDArray[np.float32], model_input: InputMeta) -> NDArray[Any]:
    """Floats as the model takes them: as they are, or as codes of its integer input."""
    if model_input.dtype == "float32":
        return x
    of_device = model_input.dtype == "int8"
    scale = model_input.scale if of_device else model_input.source_scale
    zero_point = model_input.zero_point if of_device else model_input.source_zero_point
    return _to_codes(x, model_input, scale, zero_point, model_input.dtype)


def _to_codes(
    x: NDArray[np.float32], model_input: InputMeta, scale: float, zero_point: int, dtype: str
) -> NDArray[Any]:
    _check_scale(scale, model_input)
    try:
        return float_to_int(x, scale, zero_point, dtype)
    except UsageError as error:
        raise FormatError(f"input '{model_input.name}': {error}") from error


def _check_scale(scale: float, model_input: InputMeta) -> None:
    if scale <= 0.0:
        raise FormatError(f"input '{model_input.name}' has a scale that is not above 0")


def _is_codes(x: NDArray[Any], model_input: InputMeta) -> bool:
    """Whether an array holds the integers that the model takes, ready to feed."""
    return model_input.dtype != "float32" and x.dtype.name == model_input.dtype


def _scale(x: NDArray[Any], inputs: Inputs) -> NDArray[np.float32]:
    values: NDArray[np.float32] = x.astype(np.float32)
    with np.errstate(all="ignore"):
        if inputs.x_scale is not None:
            values = values * inputs.x_scale
        if inputs.x_mean is not None:
            values = values - inputs.x_mean
    return values


def _random_feed(index: int, model_input: InputMeta, runs: Sequence[int]) -> NDArray[Any]:
    # An extendable hash is defined to the bit; generators of numpy may change between versions.
    dtype = np.dtype("int8" if model_input.dtype == "float32" else model_input.dtype)
    size = model_input.bytes * dtype.itemsize
    data = b"".join(
        hashlib.shake_128(f"edgesparse input {index} run {run}".encode()).digest(size)
        for run in runs
    )
    values = np.frombuffer(data, dtype=dtype.newbyteorder("<")).reshape(len(runs), -1)
    if model_input.dtype != "float32":
        return values.astype(dtype)
    return int8_to_float(values, model_input.scale, model_input.zero_point)


def rows_for(
    model_inputs: Sequence[InputMeta], inputs: Inputs | None, runs: Sequence[int]
) -> tuple[NDArray[np.int8], ...]:
    """Return what the device is given, an int8 array [runs, elements] for each model input.

    Takes what feeds_for takes.  Floats and other integers are quantised as the model's own QUANTIZE
    does.  Raises FormatError for rows that do not fit the model, and for NaN.
    """
    feeds = feeds_for(model_inputs, inputs, runs)
    return tuple(map(_quantised, feeds, model_inputs))


def _quantised(feed: NDArray[Any], model_input: InputMeta) -> NDArray[np.int8]:
    device = (model_input.scale, model_input.zero_point)
    if model_input.dtype == "int8":
        return feed
    if model_input.dtype == "float32":
        return _to_codes(feed, model_input, *device, "int8")
    source = (model_input.source_scale, model_input.source_zero_point)
    for scale, _ in (device, source):
        _check_scale(scale, model_input)
    return requantize(feed, source, device, "int8")


def row_bytes(rows: Sequence[NDArray[np.int8]], run: int) -> tuple[bytes, ...]:
    """Return one row of what rows_for returns: the bytes of each model input."""
    return tuple(array[run].tobytes() for array in rows)


def batch_bytes(rows: Sequence[NDArray[np.int8]]) -> bytes:
    """Return all rows, one after another, each with every model input's bytes in order."""
    return np.concatenate(list(rows), axis=1).tobytes()
