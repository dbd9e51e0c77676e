"""Encoded model <-> image bytes (.esm), as SPEC.md gives them.

Struct layouts and ids come from the C tables.  build_image() plans the memory and writes what the
device's loader accepts; read_image() takes any bytes and refuses what the loader refuses.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgesparse import native
from edgesparse.describe import describe
from edgesparse.encode import Encoded, EncodedNode
from edgesparse.encode.saturation import saturation_flags
from edgesparse.errors import FormatError, ImageRefusedError
from edgesparse.memory import MemoryPlan, plan_memory
from edgesparse.meta import Meta, ProfileMeta, SparsifyMeta

_ALIGN_BYTES = 16
_MAGIC = 0x314D5345
_VERSION_MAJOR = 3
_REQUIRED = 1
_OPTIONAL = ("meta", "scales")
_CRC_AT = 12


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the loader accepts.

    data: all its bytes.  meta: what the host knows of it.  header, tensors, nodes: its structs by
    field name.  macs_done: products a run, node by node.
    """

    data: bytes
    meta: Meta
    header: Mapping[str, Any]
    tensors: tuple[Mapping[str, Any], ...]
    nodes: tuple[Mapping[str, Any], ...]
    macs_done: tuple[int, ...]

    @property
    def arena_bytes(self) -> int:
        """RAM for tensors and scratch."""
        return int(self.header["arena_bytes"])

    @property
    def has_state(self) -> bool:
        """Whether a run depends on those before it."""
        return any(row["place"] == native.number("place", "persistent") for row in self.tensors)

    def node_params(self) -> tuple[bytes, ...]:
        """The parameter struct of every node, as it lies in the image."""
        params = _sections(self.data)["params"]
        ops = {row.id: native.layout(row.columns[1]) for row in native.table("op").values()}
        starts = ((row["params_off"], ops[row["op"]].size_bytes) for row in self.nodes)
        return tuple(params[start : start + size] for start, size in starts)

    def device_bytes(self) -> bytes:
        """The image as it goes onto a device: without the section for the host."""
        sections = {kind: rows for kind, rows in _sections(self.data).items() if kind != "meta"}
        kept = ("model_hash", "arena_bytes", "target_isa")
        return _join(sections, {name: self.header[name] for name in kept})


# --- Writing ---------------------------------------------------------------------------------


def _join(sections: Mapping[str, bytes], fields: Mapping[str, Any]) -> bytes:
    """Header, section table and sections; `fields` are header fields that sections do not give."""
    header, row = native.layout("image_header"), native.layout("section")
    table, body = b"", b""
    start = header.size_bytes + row.size_bytes * len(sections)
    for kind, data in sections.items():
        row_bytes = int(native.table("section")[kind].columns[0])
        table += row.pack(
            kind=native.number("section", kind),
            flags=0 if kind in _OPTIONAL else _REQUIRED,
            offset=start + len(body),
            bytes=len(data),
            rows=len(data) // row_bytes if row_bytes else 0,
        )
        body += data + bytes(-len(data) % _ALIGN_BYTES)
    head = header.pack(
        magic=_MAGIC,
        version_major=_VERSION_MAJOR,
        total_bytes=start + len(body),
        section_count=len(sections),
        **fields,
    )
    data = head + table + body
    crc = zlib.crc32(data[_CRC_AT + 4 :], zlib.crc32(data[:_CRC_AT]))
    return data[:_CRC_AT] + crc.to_bytes(4, "little") + data[_CRC_AT + 4 :]


class _DataSection:
    """Constant data, each piece from a multiple of 4 on; equal pieces are kept once."""

    def __init__(self) -> None:
        self.bytes = b""
        self._known: dict[bytes, int] = {}

    def add(self, piece: bytes) -> int:
        if piece not in self._known:
            self._known[piece] = self.add_apart(piece)
        return self._known[piece]

    def add_apart(self, piece: bytes) -> int:
        """As add, but nobody else has these bytes."""
        start = len(self.bytes)
        self.bytes += piece + bytes(-len(piece) % 4)
        return start


def _params(node: EncodedNode, data: _DataSection, *, changeable: bool) -> bytes:
    """The node's parameter struct; its constant data goes into section DATA.

    changeable: weights and channel rows are this node's alone.
    """
    add = data.add_apart if changeable else data.add
    layout = native.layout(native.table("op")[node.op].columns[1])
    values = dict(node.choice.params)
    if node.choice.weights:
        values["weights_off"] = add(node.choice.weights)
        values["weights_bytes"] = len(node.choice.weights)
        values["channels_off"] = add(node.choice.channels)
    values |= {name: data.add(piece) for name, piece in node.choice.constants.items()}
    return layout.pack(**values)


def _tensor_place(
    encoded: Encoded, index: int, memory: MemoryPlan, data: _DataSection
) -> dict[str, int]:
    """Where a tensor lies: a constant in section DATA, others in the arena, variables for good."""
    constant = encoded.model.tensors[index].data
    if constant is not None:
        return {
            "place": native.number("place", "constant"),
            "offset": data.add(constant.tobytes()),
        }
    variable = encoded.persistent.get(index)
    return {
        "place": native.number("place", "arena" if variable is None else "persistent"),
        "offset": memory.tensors[encoded.root(index)],
        "reset_off": 0 if variable is None else data.add(variable.initial),
    }


def _tensor_rows(encoded: Encoded, memory: MemoryPlan, data: _DataSection) -> bytes:
    layout = native.layout("tensor")
    rows = b""
    for index in encoded.device_tensors():
        tensor = encoded.tensor(index)
        scale, zero_point = tensor.affine()
        dims = tensor.shape + (1,) * (6 - len(tensor.shape))
        rows += layout.pack(
            type=native.number("type", tensor.dtype),
            rank=len(tensor.shape),
            dims=dims,
            bytes=tensor.elements,
            zero_point=zero_point,
            scale=scale,
            threshold=encoded.model.thresholds.get(index, 0),
            **_tensor_place(encoded, index, memory, data),
        )
    return rows


def _scales(encoded: Encoded) -> bytes:
    """The f32 scale of each row of weights, of all nodes conv_2d and fully_connected."""
    scales: list[float] = []
    for node in encoded.nodes:
        if node.op in ("conv_2d", "fully_connected"):
            weights = encoded.model.tensors[encoded.model.nodes[node.layer].inputs[1]]
            assert weights.quantization is not None  # check_supported has seen to it
            own = weights.quantization.scales
            rows = weights.shape[0]
            scales += own if len(own) == rows else own * rows
    return struct.pack(f"<{len(scales)}f", *scales)


def build_image(
    encoded: Encoded,
    *,
    sparsify: SparsifyMeta | None = None,
    profile: ProfileMeta | None = None,
    changeable: bool = False,
) -> Image:
    """Plan the memory, lay out all sections and have the loader check the result.

    changeable: the device may set weights to zero that are in encoding dense or bitmap.
    """
    data = _DataSection()
    kernels = [native.number("kernel", node.choice.kernel) for node in encoded.nodes]
    params = [_params(node, data, changeable=changeable) for node in encoded.nodes]
    scratch = [node.chosen.scratch_bytes for node in encoded.nodes]
    memory = plan_memory(encoded, scratch)
    place = {index: i for i, index in enumerate(encoded.device_tensors())}
    sources = {node.index: node for node in encoded.model.nodes}
    edges: list[int] = []
    nodes = b""
    params_bytes = b""
    for i, node in enumerate(encoded.nodes):
        nodes += native.layout("node").pack(
            op=native.number("op", node.op),
            kernel=kernels[i],
            layer=node.layer,
            flags=saturation_flags(encoded.model, sources[node.layer]),
            input_first=len(edges),
            input_count=len(node.inputs),
            output_first=len(edges) + len(node.inputs),
            output_count=len(node.outputs),
            params_off=len(params_bytes),
            params_bytes=len(params[i]),
            scratch_off=memory.scratch[i],
            scratch_bytes=scratch[i],
            macs=node.macs,
            predicted_cost=node.chosen.cost or 0,
        )
        edges += [place[t] for t in (*node.inputs, *node.outputs)]
        params_bytes += params[i]
    meta = describe(encoded, sparsify, profile, scratch_bytes=max(scratch, default=0))
    sections = {
        "inputs": _index_list([place[i] for i in encoded.device_inputs()]),
        "outputs": _index_list([place[i] for i in encoded.device_outputs()]),
        "tensors": _tensor_rows(encoded, memory, data),
        "nodes": nodes,
        "edges": _index_list(edges),
        "params": params_bytes,
        "data": data.bytes,
        **({"scales": _scales(encoded)} if changeable else {}),
        "meta": meta.to_json(),
    }
    model_hash = bytes.fromhex(encoded.model.sha256())[:16]
    fields = {"model_hash": model_hash, "arena_bytes": memory.arena_bytes}
    return read_image(_join(sections, fields))


def _index_list(indices: list[int]) -> bytes:
    return struct.pack(f"<{len(indices)}H", *indices)


# --- Reading ---------------------------------------------------------------------------------


def _sections(data: bytes) -> dict[str, bytes]:
    """Section bytes by kind, of bytes that the loader has accepted."""
    header, row = native.layout("image_header"), native.layout("section")
    found = {}
    for i in range(header.unpack(data)["section_count"]):
        values = row.unpack(data, header.size_bytes + i * row.size_bytes)
        kind = native.name_of("section", values["kind"])
        found[kind] = data[values["offset"] : values["offset"] + values["bytes"]]
    return found


def _rows(layout_name: str, data: bytes) -> tuple[dict[str, Any], ...]:
    layout = native.layout(layout_name)
    return tuple(layout.unpack(data, at) for at in range(0, len(data), layout.size_bytes))


def read_image(data: bytes) -> Image:
    """Check any bytes with the device's loader and open them.

    Raises ImageRefusedError with the loader's status and place, FormatError if the section for the
    host is missing or broken.
    """
    check = native.check_image(data)
    if check.status != native.number("status", "ok"):
        section = "header" if check.section == 0 else native.name_of("section", check.section)
        raise ImageRefusedError(native.name_of("status", check.status), section, check.offset)
    sections = _sections(data)
    if "meta" not in sections:
        raise FormatError(
            "image has no section for the host (meta), so its layers have no names",
            hint="convert the .tflite again with 'edgesparse convert'",
        )
    nodes = _rows("node", sections["nodes"])
    meta = Meta.from_json(sections["meta"])
    tensors = _rows("tensor", sections["tensors"])
    _check_meta(meta, nodes, tensors)
    return Image(
        data=data,
        meta=meta,
        header=native.layout("image_header").unpack(data),
        tensors=tensors,
        nodes=nodes,
        macs_done=native.check_image(data, nodes=len(nodes)).macs_done,
    )


def _check_meta(
    meta: Meta, nodes: tuple[dict[str, Any], ...], tensors: tuple[dict[str, Any], ...]
) -> None:
    """The host's section must speak of the same nodes and tensors as the device's sections."""
    layers = [layer.index for layer in meta.layers]
    placed = {layer.node: layer.index for layer in meta.layers if layer.node is not None}
    expected = {i: node["layer"] for i, node in enumerate(nodes)}
    blocks = () if meta.sparsify is None else meta.sparsify.blocks
    if (
        layers != list(range(len(layers)))
        or placed != expected
        or len(meta.tensors) != len(tensors)
        or not {index for block in blocks for index in block.layers}.issubset(layers)
    ):
        raise FormatError("the image's section for the host (meta) belongs to another image")
