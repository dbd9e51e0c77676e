"""What the host knows of an image: names, layers, model inputs and outputs.

Kept in the image's section META as zlib-compressed JSON; the device never sees it.
"""

from __future__ import annotations

import zlib

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgesparse.errors import FormatError

VERSION = 1
_MAX_JSON_BYTES = 16 * 1024 * 1024


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class LayerMeta(_Frozen):
    """One node of the .tflite.

    node: index of its device node; None for one that is free, folded or done by the host.
    same_as_layer, same_as_input: a free RESHAPE's output has the zeros of that layer's output, or
    of that model input.
    """

    index: int
    name: str
    op: str
    encoding: str
    kernel: str
    node: int | None
    macs: int
    weights: int
    weight_zeros: int
    activations: int
    dense_bytes: int
    encoded_bytes: int
    same_as_layer: int | None = None
    same_as_input: int | None = None


class InputMeta(_Frozen):
    """A model input; `bytes` is what one row takes on the device, always int8.

    scale, zero_point: of the device's tensor.  source_scale, source_zero_point: of the model's
    input, where that is of integers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    bytes: int
    source_scale: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    source_zero_point: int = Field(default=0, ge=-(2**15), lt=2**15)


class HostStep(_Frozen):
    """An operator that the host runs on a model output.

    scale, zero_point: of what it is given, for DEQUANTIZE and QUANTIZE.  dtype, out_scale,
    out_zero_point: of what QUANTIZE gives.
    """

    op: str
    scale: float = 0.0
    zero_point: int = 0
    beta: float = 1.0
    dtype: str = ""
    out_scale: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    out_zero_point: int = Field(default=0, ge=-(2**15), lt=2**15)


class OutputMeta(_Frozen):
    """A model output; `scale` and `zero_point` are those of the device's int8 tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    steps: tuple[HostStep, ...] = ()


class LayerSparsityMeta(_Frozen):
    """What sparsification did to one layer."""

    index: int
    weights: int
    zeros_before: int
    zeros_after: int
    threshold: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    method: str = ""
    granularity: str = ""


class BlockMeta(_Frozen):
    """A named group of layers, by their index in the .tflite, in running order."""

    name: str
    layers: tuple[int, ...] = Field(min_length=1)


class SparsifyMeta(_Frozen):
    """How the weights were thinned; under method "policy" each layer has its own."""

    method: str
    sparsity: float
    depthwise: bool
    layers: tuple[LayerSparsityMeta, ...]
    value: tuple[float, ...] = ()
    granularity: str = "element"
    blocks: tuple[BlockMeta, ...] = ()


class Meta(_Frozen):
    """All of it.  tensors: the .tflite tensor index of each tensor of the image."""

    version: int = VERSION
    name: str
    source_sha256: str
    sparsify: SparsifyMeta | None
    layers: tuple[LayerMeta, ...]
    inputs: tuple[InputMeta, ...]
    outputs: tuple[OutputMeta, ...]
    tensors: tuple[int, ...]
    scratch_bytes: int

    def to_json(self) -> bytes:
        """The bytes of section META."""
        return zlib.compress(self.model_dump_json().encode("utf-8"), 9)

    @classmethod
    def from_json(cls, data: bytes) -> Meta:
        """Read section META.  FormatError for anything else, and for more than 16 MiB of JSON."""
        try:
            unpacker = zlib.decompressobj()
            text = unpacker.decompress(data, _MAX_JSON_BYTES)
            if not unpacker.eof:
                raise FormatError("section meta is cut off or longer than 16 MiB")
            meta = cls.model_validate_json(text)
        except (zlib.error, ValidationError) as error:
            raise FormatError(f"section meta cannot be read: {error}") from error
        if meta.version != VERSION:
            raise FormatError(
                f"section meta has version {meta.version}, this reader knows {VERSION}"
            )
        return meta
