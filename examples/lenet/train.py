"""Train LeNet on MNIST with an L2 and with an L1 penalty, and quantise both to int8 .tflite.

    pip install "tensorflow-cpu==2.15.1" "numpy<2"
    python train.py --data MNIST_FOLDER --out .     # without --data keras downloads MNIST

Writes lenet_l2.tflite, lenet_l1.tflite and data.npz, the rows that were held back: `x` int8
[N, 28, 28, 1], `y` labels, for both models.
"""

import argparse
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Labels = NDArray[np.uint8]

IMAGE_MAGIC, LABEL_MAGIC = 2051, 2049  # first words of the idx files
HELD_BACK = 3000
CALIBRATION_ROWS = 500
BATCH_ROWS = 64
LEARNING_RATE = 1e-3
# Of the weights of every layer.  The paper does not say how strong its penalties were; these cost
# no more than a few tenths of a point.
PENALTIES = {"l2": 5e-4, "l1": 1e-4}


def read_idx(folder: Path) -> tuple[Images, Labels]:
    """All images [N, 28, 28, 1], 0 to 1, and labels of the idx files (.gz) in a folder."""
    images, labels = [], []
    for path in sorted(folder.glob("*images-idx3-ubyte.gz")):
        data = gzip.decompress(path.read_bytes())
        magic, count, height, width = np.frombuffer(data, ">u4", 4)
        if magic != IMAGE_MAGIC:
            raise SystemExit(f"{path} holds no images")
        pixels = np.frombuffer(data, np.uint8, offset=16)
        images.append(pixels.reshape(count, height, width, 1))
        beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
        data = gzip.decompress(beside.read_bytes())
        if np.frombuffer(data, ">u4", 1)[0] != LABEL_MAGIC:
            raise SystemExit(f"{beside} holds no labels")
        labels.append(np.frombuffer(data, np.uint8, offset=8))
    if not images:
        raise SystemExit(f"no *images-idx3-ubyte.gz in {folder}")
    return (np.concatenate(images) / 255).astype(np.float32), np.concatenate(labels)


def load_rows(tf: Any, folder: Path | None) -> tuple[Images, Labels]:
    """MNIST from a folder, else as keras gives it."""
    if folder is not None:
        return read_idx(folder)
    (train_x, train_y), (test_x, test_y) = tf.keras.datasets.mnist.load_data()
    x = np.concatenate([train_x, test_x])[..., np.newaxis] / 255
    return x.astype(np.float32), np.concatenate([train_y, test_y])


def build(tf: Any, penalty: str, batch_rows: int | None) -> Any:
    """LeNet as in Caffe: 431,080 parameters.  The layers have the paper's names."""
    strength = PENALTIES[penalty]
    regularizer = {"l1": tf.keras.regularizers.L1, "l2": tf.keras.regularizers.L2}[penalty]
    layers = tf.keras.layers

    def weighted(kind: Any, *sizes: int, **options: Any) -> Any:
        return kind(*sizes, kernel_regularizer=regularizer(strength), **options)

    return tf.keras.Sequential(
        [
            layers.Input(shape=(28, 28, 1), batch_size=batch_rows),
            weighted(layers.Conv2D, 20, 5, activation="relu", name="conv1"),
            layers.MaxPooling2D(2),
            weighted(layers.Conv2D, 50, 5, activation="relu", name="conv2"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            weighted(layers.Dense, 500, activation="relu", name="fc3"),
            layers.Dropout(0.5),
            weighted(layers.Dense, 10, activation="softmax", name="fc4"),
        ]
    )


def train(tf: Any, penalty: str, x: Images, y: Labels, epochs: int) -> Any:
    """The trained network, with a batch of one row."""
    network = build(tf, penalty, None)
    steps = epochs * -(-len(y) // BATCH_ROWS)
    rate = tf.keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    network.compile(
        optimizer=tf.keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    network.fit(x, y, batch_size=BATCH_ROWS, epochs=epochs, verbose=2)
    single = build(tf, penalty, 1)
    single.set_weights(network.get_weights())
    return single


def quantise(tf: Any, network: Any, calibration: Images) -> bytes:
    """The network as an int8 .tflite."""

    def rows() -> Iterator[list[Images]]:
        for row in calibration:
            yield [row[np.newaxis]]

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = rows
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def main() -> None:
    """Parse the command line, train both networks and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of MNIST's idx files (.gz)")
    parser.add_argument("--out", type=Path, default=Path(), help="where the files go")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the rows")
    arguments = parser.parse_args()

    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # fewer differences between processors
    import tensorflow as tf

    tf.keras.utils.set_random_seed(1)
    x, y = load_rows(tf, arguments.data)
    order = np.random.default_rng(1).permutation(len(y))
    x, y = x[order], y[order]
    held_x, held_y = x[:HELD_BACK], y[:HELD_BACK]
    x, y = x[HELD_BACK:], y[HELD_BACK:]
    arguments.out.mkdir(parents=True, exist_ok=True)
    for penalty in PENALTIES:
        network = train(tf, penalty, x, y, arguments.epochs)
        model = quantise(tf, network, x[:CALIBRATION_ROWS])
        (arguments.out / f"lenet_{penalty}.tflite").write_bytes(model)
        right = np.argmax(network.predict(held_x, verbose=0), axis=1) == held_y
        print(f"{penalty}: float accuracy {100 * right.mean():.2f} % on {HELD_BACK} rows held back")
    # Pixels 0 to 1 have scale 1/255 and zero point -128 in both models.
    codes = np.round(held_x * 255).astype(np.int16) - 128
    np.savez_compressed(arguments.out / "data.npz", x=codes.astype(np.int8), y=held_y)


if __name__ == "__main__":
    main()
