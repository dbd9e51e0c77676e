"""The host half of the flow in one call: file -> Model -> sparsified -> encoded -> Image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesparse import demo
from edgesparse.analyze import analyze
from edgesparse.blocks import policy_blocks
from edgesparse.encode import encode
from edgesparse.errors import UsageError
from edgesparse.files import read_file, write_file
from edgesparse.image import Image, build_image, read_image
from edgesparse.meta import LayerSparsityMeta, SparsifyMeta
from edgesparse.model import Model, parse_model, save_model
from edgesparse.sparsify import LayerSparsity, Policy, Rule, rule_of, sparsify
from edgesparse.sparsify.table import describe_layers

_IMAGE_MAGIC = b"ESM1"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do to a .tflite on its way into an image.

    method, sparsity, value, granularity: see sparsify.rule.  A policy stands in their place.
    """

    method: str = "none"
    sparsity: float = 0.0
    depthwise: bool = False
    encoding: str | None = None
    value: tuple[float, ...] = ()
    granularity: str = "element"
    policy: Policy | None = None

    def rules(self) -> Rule | Policy:
        """What sparsify takes.  Raises UsageError for parts that do not belong together."""
        if self.policy is None:
            return rule_of(self.method, self.sparsity, self.value, self.granularity)
        if (self.method, self.sparsity, self.value, self.granularity) != (
            "none",
            0.0,
            (),
            "element",
        ):
            raise UsageError(
                "--policy stands in the place of --method, --sparsity, --value and --granularity",
                hint="write them into the policy's table [default]",
            )
        return self.policy


def thin(model: Model, recipe: Recipe) -> tuple[Model, SparsifyMeta]:
    """Set small weights to zero as the recipe says."""
    thinned, layers = sparsify(model, recipe.rules(), depthwise=recipe.depthwise)
    return thinned, _sparsify_meta(model, recipe, layers)


def _sparsify_meta(model: Model, recipe: Recipe, layers: tuple[LayerSparsity, ...]) -> SparsifyMeta:
    rows = tuple(
        LayerSparsityMeta(
            index=layer.node_index,
            weights=layer.weights,
            zeros_before=layer.zeros_before,
            zeros_after=layer.zeros_after,
            threshold=layer.threshold,
            method=layer.method,
            granularity=layer.granularity,
        )
        for layer in layers
    )
    return SparsifyMeta(
        method=recipe.method if recipe.policy is None else "policy",
        sparsity=recipe.sparsity,
        depthwise=recipe.depthwise,
        layers=rows,
        value=recipe.value,
        granularity=recipe.granularity,
        blocks=() if recipe.policy is None else policy_blocks(model, recipe.policy),
    )


def convert_model(model: Model, recipe: Recipe) -> tuple[Image, Model]:
    """All stages from a model to its image; also the thresholded model."""
    thinned, meta = thin(model, recipe)
    return build_image(encode(thinned, encoding=recipe.encoding), sparsify=meta), thinned


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
            f"{path} is an image; --method, --policy, --encoding and the like need the .tflite",
            hint="give the .tflite that the image was converted from",
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


def sparsify_file(path: Path | None, output: Path | None, recipe: Recipe) -> dict[str, Any]:
    """Write a .tflite with small weights set to zero; return what became of its layers.

    `output` None: write nothing.  Only weights change, so that whatever opens the one opens the
    other; where a layer's bytes in the file were another tensor's too, it gets its own and the file
    grows by them.
    """
    model = read_model(path)
    thinned, layers = sparsify(model, recipe.rules(), depthwise=recipe.depthwise)
    if output is not None:
        save_model(thinned, output)
    return {"output": None if output is None else str(output)} | describe_layers(thinned, layers)
