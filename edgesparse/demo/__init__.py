"""Bundled demo: a small int8 digit classifier and its held-back test rows.

``digits.tflite`` takes one int8 image of shape [1, 8, 8, 1] and returns int8 class scores of
shape [1, 10]. ``digits.npz`` holds N test rows: ``x`` int8 [N, 8, 8, 1] (quantised with the
model's input scale and zero point), ``y`` uint8 [N] (labels 0..9) and ``golden`` int8 [N, 10]
(the outputs of the TensorFlow Lite reference kernels for those rows).
"""

from pathlib import Path

__all__ = ["data_path", "model_path"]

_HERE = Path(__file__).resolve().parent


def model_path() -> Path:
    """Return the path of the bundled int8 model, ``digits.tflite``."""
    return _HERE / "digits.tflite"


def data_path() -> Path:
    """Return the path of the bundled test rows, ``digits.npz`` (``x``, ``y``, ``golden``)."""
    return _HERE / "digits.npz"
