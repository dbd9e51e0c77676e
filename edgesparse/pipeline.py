"""The host half of the flow in one call: file -> Model -> sparsified -> encoded -> Image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesparse import demo
from edgesparse.analyze import analyze
from edgesparse.encode import encode
from edgesparse.errors import UsageError
from edgesparse.files import read_file, write_file
from edgesparse.image import Image, build_image, read_image
from edgesparse.meta import LayerSparsityMeta, SparsifyMeta
from edgesparse.model import Model, parse_model, save_model
from edgesparse.sparsify import sparsify

_IMAGE_MAGIC = b"ESM1"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do to a .tflite on its way into an image."""

    method: str = "none"
    sparsity: float = 0.0
    depthwise: bool = False
    encoding: str | None = None
    keep_dead: bool = False
    granularity: str = "1x1"


def thin(model: Model, recipe: Recipe) -> tuple[Model, SparsifyMeta]:
    """Set small weights to zero as the recipe says."""
    thinned, layers = sparsify(
        model,
        method=recipe.method,
        sparsity=recipe.sparsity,
        depthwise=recipe.depthwise,
        granularity=recipe.granularity,
    )
    rows = tuple(
        LayerSparsityMeta(
            index=layer.node_index,
            weights=layer.weights,
            zeros_before=layer.zeros_before,
            zeros_after=layer.zeros_after,
        )
        for layer in layers
    )
    meta = SparsifyMeta(
        method=recipe.method,
        sparsity=recipe.sparsity,
        depthwise=recipe.depthwise,
        granularity=recipe.granularity,
        layers=rows,
    )
    return thinned, meta


def convert_model(model: Model, recipe: Recipe) -> tuple[Image, Model]:
    """All stages from a model to its image; also the thresholded model."""
    thinned, meta = thin(model, recipe)
    encoded = encode(thinned, encoding=recipe.encoding, keep_dead=recipe.keep_dead)
    return build_image(encoded, sparsify=meta), thinned


def read_model(path: Path | None) -> Model:
    """The .tflite at a path; the bundled demo model for None."""
    path = demo.model_path() if path is None else path
    data = read_file(path)
    if data.startswith(_IMAGE_MAGIC):
        raise UsageError(
            f"{path} is an image, not a .tflite",
            hint="give the .tflite that the image was converted from",
        )
    return parse_model(data, name=path.stem)


def prepare_image(path: Path | None, recipe: Recipe) -> Image:
    """The image for a .tflite or .esm file, or for the bundled demo model.

    Raises UsageError for a recipe on an .esm, whose weights are fixed.
    """
    path = demo.model_path() if path is None else path
    data = read_file(path)
    if not data.startswith(_IMAGE_MAGIC):
        return convert_model(parse_model(data, name=path.stem), recipe)[0]
    if recipe != Recipe():
        raise UsageError(
            f"{path} is an image; --method, --sparsity, --granularity, --depthwise, --encoding and"
            " --keep-dead need the .tflite"
        )
    return read_image(data)


def convert_file(
    path: Path | None, output: Path | None, recipe: Recipe, *, tflite: Path | None = None
) -> dict[str, Any]:
    """Write the image of a .tflite, and the thresholded .tflite if `tflite` names a file.

    `output` None: beside the working directory, named after the model.  Returns the analysis of
    what was written, with the path under "output".
    """
    image, thinned = convert_model(read_model(path), recipe)
    output = Path(f"{thinned.name}.esm") if output is None else output
    if tflite is not None:
        save_model(thinned, tflite)
    write_file(output, image.data)
    return {"output": str(output)} | analyze(thinned, image)
