"""Train and quantise the bundled demo model: ``python -m edgesparse.demo.train``.

A small LeNet-like network is trained on scikit-learn's digits with an L1 penalty on every
kernel, converted to full int8 and written as ``digits.tflite``. The held-back test rows and the
outputs of the TensorFlow Lite reference kernels for them are written as ``digits.npz``.

TensorFlow and scikit-learn are needed to run this module, not to import it.
"""

import argparse
import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Int8Array = npt.NDArray[np.int8]
LabelArray = npt.NDArray[np.uint8]

PIXEL_MAX = 16.0  # the digits' grey levels are 0..16
TEST_FRACTION = 0.2
CALIBRATION_ROWS = 300
SPLIT_SEED = 1  # the held-back rows are the same whatever the training seed
BATCH_ROWS = 64
LEARNING_RATE = 3e-3
L1_CONV = (1e-3, 3e-4, 1e-4)  # penalty per unit of absolute kernel weight, layer by layer
L1_DENSE = (2e-4, 1e-3)
BIAS_START = 0.1  # above zero, so that no ReLU is off for every row from the start
DROPOUT = 0.3
DEAD_SCALE_RATIO = 0.01  # a filter counts as dead below this share of its layer's largest scale
ALLOWED_OPS = frozenset(
    {
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "ADD",
        "AVERAGE_POOL_2D",
        "RESHAPE",
        "SOFTMAX",
    }
)
WEIGHTED_OPS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


@dataclass(frozen=True)
class Rows:
    """Labelled images: ``x`` float32 [N, 8, 8, 1] with values 0..1, ``y`` uint8 [N]."""

    x: FloatArray
    y: LabelArray


@dataclass(frozen=True)
class Split:
    """The rows by use; ``calibration`` is a subset of ``train``, ``test`` is held back."""

    train: Rows
    calibration: Rows
    test: Rows


@dataclass(frozen=True)
class WeightedLayer:
    """Weights of one operator: ``codes`` int8 (filters first), ``scales`` [1] or [filters]."""

    op: str
    codes: Int8Array
    scales: FloatArray


def load_split() -> Split:
    """Return scikit-learn's digits as a stratified split, the same on every call."""
    datasets: Any = importlib.import_module("sklearn.datasets")
    selection: Any = importlib.import_module("sklearn.model_selection")
    digits = datasets.load_digits()
    x = (digits.images[..., np.newaxis] / PIXEL_MAX).astype(np.float32)
    y = digits.target.astype(np.uint8)
    train_x, test_x, train_y, test_y = selection.train_test_split(
        x, y, test_size=TEST_FRACTION, stratify=y, random_state=SPLIT_SEED
    )
    calibration_x, _, calibration_y, _ = selection.train_test_split(
        train_x, train_y, train_size=CALIBRATION_ROWS, stratify=train_y, random_state=SPLIT_SEED
    )
    return Split(Rows(train_x, train_y), Rows(calibration_x, calibration_y), Rows(test_x, test_y))


def weighted(tf: Any, kind: str, l1: float, *sizes: int, **options: Any) -> Any:
    """Return the Keras layer ``kind`` of ``sizes`` with an L1 penalty on its kernel."""
    return getattr(tf.keras.layers, kind)(
        *sizes,
        kernel_regularizer=tf.keras.regularizers.L1(l1),
        bias_initializer=tf.keras.initializers.Constant(BIAS_START),
        **options,
    )


def build_network(tf: Any, batch_rows: int | None) -> Any:
    """Return the Keras network [batch, 8, 8, 1] -> [batch, 10]; ``None`` leaves batch open."""
    layers = tf.keras.layers
    same: dict[str, Any] = {"padding": "same", "activation": "relu"}
    return tf.keras.Sequential(
        [
            layers.Input(shape=(8, 8, 1), batch_size=batch_rows),
            weighted(tf, "Conv2D", L1_CONV[0], 8, 3, **same),
            weighted(tf, "Conv2D", L1_CONV[1], 16, 3, **same),
            layers.AveragePooling2D(2),
            weighted(tf, "Conv2D", L1_CONV[2], 32, 3, **same),
            layers.Flatten(),
            layers.Dropout(DROPOUT),
            weighted(tf, "Dense", L1_DENSE[0], 64, activation="relu"),
            layers.Dropout(DROPOUT),
            weighted(tf, "Dense", L1_DENSE[1], 10, activation="softmax"),
        ]
    )


def train_network(tf: Any, rows: Rows, epochs: int) -> Any:
    """Train with Adam on a cosine-decayed rate; return the network with a batch of one row."""
    network = build_network(tf, None)
    steps = epochs * -(-len(rows.y) // BATCH_ROWS)
    rate = tf.keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    network.compile(
        optimizer=tf.keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    network.fit(rows.x, rows.y, batch_size=BATCH_ROWS, epochs=epochs, verbose=2)
    single = build_network(tf, 1)
    single.set_weights(network.get_weights())
    return single


def convert_int8(tf: Any, network: Any, calibration: Rows) -> bytes:
    """Return ``network`` as a full-int8 .tflite: convolutions per filter, dense per tensor."""

    def representative() -> Iterator[list[FloatArray]]:
        for row in calibration.x:
            yield [row[np.newaxis]]

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    # Newer converters would otherwise give dense layers one scale per output as well.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return bytes(converter.convert())


def open_reference(tf: Any, model: bytes) -> Any:
    """Return an interpreter for ``model`` that uses the reference kernels, no delegate."""
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(
        model_content=model, experimental_op_resolver_type=resolver, num_threads=1
    )
    interpreter.allocate_tensors()
    return interpreter


def quantise_input(interpreter: Any, x: FloatArray) -> Int8Array:
    """Return ``x`` [N, 8, 8, 1] as int8 codes in the model's input scale and zero point."""
    scale, zero_point = interpreter.get_input_details()[0]["quantization"]
    codes = np.round(x / np.float32(scale)) + zero_point
    clipped: Int8Array = np.clip(codes, -128, 127).astype(np.int8)
    return clipped


def run_rows(interpreter: Any, x: Int8Array) -> Int8Array:
    """Return the model's int8 outputs [N, 10] for the int8 inputs ``x`` [N, 8, 8, 1]."""
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]
    outputs = []
    for row in x:
        interpreter.set_tensor(input_index, row[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output_index)[0])
    return np.stack(outputs)


def weighted_layers(interpreter: Any) -> list[WeightedLayer]:
    """Return the weights of the model's operators in order; refuse operators not allowed."""
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    layers = []
    for op in interpreter._get_ops_details():
        name = op["op_name"]
        if name not in ALLOWED_OPS:
            raise ValueError(f"the converted model has the operator {name}")
        if name in WEIGHTED_OPS:
            index = op["inputs"][1]
            scales = tensors[index]["quantization_parameters"]["scales"]
            layers.append(WeightedLayer(name, interpreter.get_tensor(index), scales))
    return layers


def check_scales(layers: Sequence[WeightedLayer]) -> None:
    """Refuse weights that are not int8 with one scale per dense tensor or one per filter."""
    for layer in layers:
        expected = 1 if layer.op == "FULLY_CONNECTED" else layer.codes.shape[0]
        if layer.codes.dtype != np.int8 or len(layer.scales) != expected:
            raise ValueError(
                f"{layer.op} {layer.codes.shape}: {layer.codes.dtype} weights with "
                f"{len(layer.scales)} scales, expected int8 with {expected}"
            )


def accuracy(scores: npt.NDArray[Any], y: LabelArray) -> float:
    """Return the share 0..1 of rows of ``scores`` [N, 10] whose largest entry is at ``y``."""
    return float(np.mean(np.argmax(scores, axis=1) == y))


def print_layers(layers: Sequence[WeightedLayer]) -> None:
    """Print one line per weighted layer: operator, weight shape, zero codes, scales.

    The L1 penalty may drive a whole filter to zero (it then has a tiny scale); such filters are
    counted as dead.
    """
    for layer in layers:
        zeros = int(np.count_nonzero(layer.codes == 0))
        share = 100.0 * zeros / layer.codes.size
        dead = int(np.count_nonzero(layer.scales < DEAD_SCALE_RATIO * layer.scales.max()))
        shape = "x".join(map(str, layer.codes.shape))
        print(
            f"{layer.op:17} {shape:10} {layer.codes.size:6} weights, "
            f"{zeros:6} zero ({share:.1f} %), {len(layer.scales)} scales, {dead} dead"
        )


def make_demo(out: Path, seed: int, epochs: int) -> None:
    """Train, quantise and check the model; write digits.tflite and digits.npz into ``out``."""
    # Read when TensorFlow is loaded: fewer differences between processors.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    tf: Any = importlib.import_module("tensorflow")
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)  # sums depend on the thread count
    tf.config.threading.set_inter_op_parallelism_threads(1)
    split = load_split()
    network = train_network(tf, split.train, epochs)
    model = convert_int8(tf, network, split.calibration)
    interpreter = open_reference(tf, model)
    layers = weighted_layers(interpreter)
    check_scales(layers)
    x = quantise_input(interpreter, split.test.x)
    golden = run_rows(interpreter, x)
    scores = network.predict(split.test.x, batch_size=1, verbose=0)
    out.mkdir(parents=True, exist_ok=True)
    (out / "digits.tflite").write_bytes(model)
    np.savez_compressed(out / "digits.npz", x=x, y=split.test.y, golden=golden)
    print_layers(layers)
    print(f"test rows {len(split.test.y)}, model {len(model)} bytes")
    print(f"accuracy float {100 * accuracy(scores, split.test.y):.2f} %")
    print(f"accuracy int8 {100 * accuracy(golden, split.test.y):.2f} %")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, make the demo files and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m edgesparse.demo.train", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the two files")
    parser.add_argument("--seed", type=int, default=1, help="seed of the training")
    parser.add_argument("--epochs", type=int, default=150, help="passes over the training rows")
    arguments = parser.parse_args(argv)
    make_demo(arguments.out, arguments.seed, arguments.epochs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
