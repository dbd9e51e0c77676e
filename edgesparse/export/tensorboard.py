"""TensorBoard's event files, through tensorboardX: scalars and histograms by run number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgesparse.errors import MissingToolError, UsageError
from edgesparse.export.samples import Sample, read_samples
from edgesparse.files import write_file

__all__ = ["export_tensorboard"]

_BIN = 16
"""Width of a histogram's bins."""
_FILE = "events.out.tfevents.0.edgesparse"


def export_tensorboard(folder: Path, output: Path) -> list[Path]:
    """Write a folder boot-N in `output` for each start of the device.

    A log has no times: the wall time of a value is its run's number.

    Raises MissingToolError without tensorboardX, UsageError where there is no run.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingToolError("tensorboardX", "pip install 'edgesparse[tensorboard]'") from error
    _, samples = read_samples(folder)
    with TemporaryDirectory(prefix="edgesparse-") as name:
        folders: dict[int, Path] = {}
        with ExitStack() as closing:
            writers: dict[int, Any] = {}
            for sample in samples:
                boot, step = sample.boot, sample.run
                if boot not in writers:
                    folders[boot] = Path(name) / f"boot-{boot}"
                    writers[boot] = SummaryWriter(str(folders[boot]))
                    closing.callback(writers[boot].close)
                for tag, value in _scalars(sample):
                    writers[boot].add_scalar(tag, value, step, walltime=float(step))
                for tag, figures in _histograms(sample):
                    writers[boot].add_histogram_raw(
                        tag, **figures, global_step=step, walltime=float(step)
                    )
        if not folders:
            raise UsageError(f"{folder} has no whole run")
        return [_keep(events, output) for events in folders.values()]


def _keep(events: Path, output: Path) -> Path:
    """Put the one file of a folder where it belongs, under a name that stays the same."""
    (file,) = events.iterdir()
    path = output / events.name / _FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {path.parent}: {error.strerror}") from error
    write_file(path, file.read_bytes())
    return path


def _scalars(sample: Sample) -> Iterator[tuple[str, float]]:
    for layer in sample.layers:
        yield f"activation_zeros_percent/{layer.label}", layer.zeros_percent
        if layer.thresholded_percent is not None:
            yield f"thresholded_percent/{layer.label}", layer.thresholded_percent
        if layer.skipped_percent is not None:
            yield f"macs_skipped_percent/{layer.label}", layer.skipped_percent
        if sample.unit != "none":
            yield f"{sample.unit}/{layer.label}", layer.count / sample.runs
    if sample.skipped_percent is not None:
        yield "run/macs_skipped_percent", sample.skipped_percent
    if sample.unit != "none":
        yield f"run/{sample.unit}", sample.count / sample.runs


def _histograms(sample: Sample) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of the int8 values; each stands for the middle of its bin."""
    labels = {layer.node: layer.label for layer in sample.layers}
    for (node, tensor), bins in sample.histograms.items():
        middles = [_BIN * i - 128 + (_BIN - 1) / 2 for i in range(len(bins))]
        figures = {
            "min": -128,
            "max": 127,
            "num": sum(bins),
            "sum": sum(count * q for count, q in zip(bins, middles, strict=True)),
            "sum_squares": sum(count * q * q for count, q in zip(bins, middles, strict=True)),
            "bucket_limits": [_BIN * (i + 1) - 128 for i in range(len(bins))],
            "bucket_counts": list(bins),
        }
        yield f"values/{labels[node]}, tensor {tensor}", figures
