"""What the received bytes of a run do not say, written down before it starts: session.json."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Self

from edgesparse import __version__
from edgesparse.errors import FormatError
from edgesparse.inputs import Inputs, batch_bytes
from edgesparse.meta import Meta
from edgesparse.telemetry.runs import new_nonce

__all__ = ["Setup", "StoredArray"]

VERSION = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StoredArray(_Frozen):
    """An array in JSON: little-endian bytes, compressed with zlib, in base64."""

    dtype: str
    shape: tuple[int, ...]
    data: str

    @classmethod
    def of(cls, array: NDArray[Any]) -> Self:
        """Keep an array of a type that a model may give."""
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        data = base64.b64encode(zlib.compress(little.tobytes())).decode("ascii")
        return cls(dtype=array.dtype.name, shape=array.shape, data=data)

    def array(self) -> NDArray[Any]:
        """The array.  Raises FormatError if the bytes are not those of one."""
        if (
            self.dtype not in ("int8", "uint8", "int16", "float32")
            or min(self.shape, default=0) < 0
        ):
            raise FormatError(f"expected outputs of type {self.dtype} {list(self.shape)}")
        dtype = np.dtype(self.dtype).newbyteorder("<")
        size = math.prod(self.shape) * dtype.itemsize
        try:
            packed = base64.b64decode(self.data, validate=True)
            data = zlib.decompressobj().decompress(packed, size + 1)
        except (binascii.Error, ValueError, zlib.error) as error:
            raise FormatError(f"expected outputs cannot be read: {error}") from error
        if len(data) != size:
            raise FormatError(f"expected outputs have not the {size} bytes of their shape")
        return np.frombuffer(data, dtype=dtype).reshape(self.shape)


class Setup(_Frozen):
    """A run before it starts.

    Run i takes row ``i % rows``.

    Args:
        edgesparse: version of this package.
        nonce: of the host's PINGs; runs that answer another host's carry another one.
        command: the command line, word by word.
        board: its name.
        meta: of the image.
        image_sha256: of the image's bytes on the device; empty if they are not known.
        inputs_sha256: of the rows as the device is given them; empty in logs of before, and if they
            are not known.
        flash_bytes: size of the image on the device; None if it is not known.
        arena_bytes: RAM for tensors and scratch.
        runs: how many were asked for; 0: until somebody stops them.
        rows: how many different rows there are.
        input_zeros: for each model input, by row, the elements equal to its zero point.
        labels: by row, or None.
        golden: expected outputs, each of shape [rows, …].
    """

    version: int = VERSION
    edgesparse: str = __version__
    nonce: int = Field(default_factory=new_nonce, ge=0, lt=2**32)
    command: tuple[str, ...] = ()
    board: str
    meta: Meta
    image_sha256: str
    inputs_sha256: str = ""
    flash_bytes: int | None
    arena_bytes: int
    runs: int = Field(ge=0)
    rows: int = Field(ge=1)
    input_zeros: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...] | None = None
    golden: tuple[StoredArray, ...] = ()

    @classmethod
    def prepare(
        cls,
        *,
        board: str,
        meta: Meta,
        image: bytes,
        arena_bytes: int,
        inputs: Inputs | None,
        rows: Sequence[NDArray[np.int8]],
        runs: int,
        command: Sequence[str] = (),
    ) -> Self:
        """Gather what belongs to a run.

        Args:
            board: its name.
            meta: of the image.
            image: the image as it goes onto the device.
            arena_bytes: RAM that it asks for.
            inputs: the file, or None for made-up rows.
            rows: what rows_for gave for each model input, [different rows, elements].
            runs: how many inferences will be asked for.
            command: the command line.
        """
        count = len(rows[0])
        zeros = [
            np.count_nonzero(array == model_input.zero_point, axis=1).tolist()
            for array, model_input in zip(rows, meta.inputs, strict=True)
        ]
        labels = None if inputs is None or inputs.y is None else inputs.y[:count].tolist()
        golden = () if inputs is None else inputs.golden
        return cls(
            command=tuple(command),
            board=board,
            meta=meta,
            image_sha256=hashlib.sha256(image).hexdigest(),
            inputs_sha256=hashlib.sha256(batch_bytes(rows)).hexdigest(),
            flash_bytes=len(image),
            arena_bytes=arena_bytes,
            runs=runs,
            rows=count,
            input_zeros=tuple(tuple(of_input) for of_input in zeros),
            labels=None if labels is None else tuple(labels),
            golden=tuple(StoredArray.of(array[:count]) for array in golden),
        )

    def to_json(self) -> bytes:
        """The bytes of session.json."""
        return self.model_dump_json(indent=1).encode("utf-8") + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read session.json.  Raises FormatError for anything else."""
        try:
            setup = cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "document"
            raise FormatError(f"session.json: {where}: {first['msg']}") from error
        if setup.version != VERSION:
            raise FormatError(f"session.json has version {setup.version}, this reader {VERSION}")
        setup.check()
        return setup

    def check(self) -> None:
        """Raise FormatError where the parts contradict each other."""
        by_row = [len(zeros) for zeros in self.input_zeros]
        by_row += [] if self.labels is None else [len(self.labels)]
        by_row += [len(array.array()) if array.shape else 0 for array in self.golden]
        if any(count != self.rows for count in by_row):
            raise FormatError(f"session.json: not everything in it has {self.rows} rows")
        sizes = [math.prod(array.shape[1:]) for array in self.golden]
        expected = [math.prod(output.shape) for output in self.meta.outputs[: len(sizes)]]
        if sizes != expected or len(self.input_zeros) != len(self.meta.inputs):
            raise FormatError("session.json: rows and model do not belong together")
