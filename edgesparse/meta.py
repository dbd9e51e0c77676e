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
    predicted_cost: of a run, in the unit of GoalMeta; 0 if it is not known.  dense_cost: the same
    for the best kernel that skips nothing.  reads: the layers whose outputs it reads.
    macs, weights, weight_zeros: of the .tflite.  activations: without the channels that nobody
    reads.  constant_zeros: how many of them are zeros in channels that the device leaves out.
    same_as_layer, same_as_input: a free RESHAPE's output has the zeros of that layer's output, or
    of that model input.  activation_threshold: in codes of its outputs, see edgesparse.thresholds.
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
    predicted_cost: int = 0
    dense_cost: int = 0
    reads: tuple[int, ...] = ()
    constant_zeros: int = 0
    activation_threshold: int = Field(default=0, ge=0, le=127)
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
    compensated: bool = False


class BlockMeta(_Frozen):
    """A named group of layers, by their index in the .tflite, in running order."""

    name: str
    layers: tuple[int, ...] = Field(min_length=1)


class SparsifyMeta(_Frozen):
    """How the weights were thinned; under method "policy" each layer has its own.

    on_device: METHOD=VALUE that the device is to do it by; empty: it is not.
    """

    method: str
    sparsity: float
    depthwise: bool
    layers: tuple[LayerSparsityMeta, ...]
    value: tuple[float, ...] = ()
    granularity: str = "element"
    on_device: str = ""
    blocks: tuple[BlockMeta, ...] = ()


class GoalMeta(_Frozen):
    """What the kernels were chosen for, see encode.Goal; `unit` is that of predicted costs."""

    optimize: str
    cpu: str
    unit: str
    max_ram: int | None = None
    max_flash: int | None = None
    skip_activations: bool = True


class TensorZerosMeta(_Frozen):
    """Zeros expected in a tensor of the .tflite, see encode.Zeros."""

    tensor: int
    mean: float
    spread: float
    pairs: float | None = None


class ProfileMeta(_Frozen):
    """The zeros that were expected in activations; `rows` 0: they were assumed."""

    source: str
    rows: int
    tensors: tuple[TensorZerosMeta, ...]


class UnevenMeta(_Frozen):
    """Channels left out that have another constant in other places.

    classes: the class of each place of an image.  values: [channels, classes].
    """

    classes: tuple[int, ...]
    channels: tuple[int, ...]
    values: tuple[tuple[int, ...], ...]


class NarrowedMeta(_Frozen):
    """A tensor of which the device leaves channels out, that is indices of the last dimension.

    tensor: its index in the .tflite.  width: its channels there.  kept: those of the device, in
    order.  constants: (channel, value) of others, uneven: of those whose value is not the same
    everywhere; nobody reads the rest.
    """

    tensor: int
    width: int = Field(ge=1)
    kept: tuple[int, ...]
    constants: tuple[tuple[int, int], ...]
    uneven: UnevenMeta | None = None


class Meta(_Frozen):
    """All of it.  tensors: the .tflite tensor index of each tensor of the image.

    goal, profile: None in images that were made without.
    """

    version: int = VERSION
    name: str
    source_sha256: str
    sparsify: SparsifyMeta | None
    goal: GoalMeta | None = None
    profile: ProfileMeta | None = None
    layers: tuple[LayerMeta, ...]
    inputs: tuple[InputMeta, ...]
    outputs: tuple[OutputMeta, ...]
    tensors: tuple[int, ...]
    narrowed: tuple[NarrowedMeta, ...] = ()
    scratch_bytes: int

    def narrowing(self, tensor: int) -> NarrowedMeta | None:
        """What became of the channels of a tensor of the .tflite; None: it has them all."""
        return next((each for each in self.narrowed if each.tensor == tensor), None)

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


def unknown_meta() -> Meta:
    """Of an image that nothing is known of but what its device says; it has no layers."""
    return Meta(
        name="unknown",
        source_sha256="",
        sparsify=None,
        layers=(),
        inputs=(),
        outputs=(),
        tensors=(),
        scratch_bytes=0,
    )


def unknown_layer(node: int, index: int, activations: int) -> LayerMeta:
    """A layer of such an image, from what its records say."""
    return LayerMeta(
        index=index,
        name=f"node {node}",
        op="",
        encoding="",
        kernel="",
        node=node,
        macs=0,
        weights=0,
        weight_zeros=0,
        activations=activations,
        dense_bytes=0,
        encoded_bytes=0,
    )
