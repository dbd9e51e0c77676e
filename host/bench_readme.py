"""Measure the shared models and rewrite the performance tables of README.md between their markers.

Usage: bench_readme.py MODELS [--json FILE].  MODELS is a folder with NAME/NAME.tflite in it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgesparse.bench.measure import Bench, as_document, measure
from edgesparse.deploy.boards import find_board
from edgesparse.errors import DoesNotFitError, UnsupportedModelError
from edgesparse.files import write_file

README = Path(__file__).resolve().parents[1] / "README.md"
BASELINE = Path(__file__).resolve().parent / "bench" / "baseline.json"
BOARDS = ("qemu-mps2-an386", "qemu-mps2-an500")
_MARKER = re.compile(r"(<!-- bench -->\n).*?(<!-- end bench -->)", flags=re.DOTALL)

Entry = Mapping[str, Any]


def entries_of(bench: Bench, path: Path) -> Iterator[dict[str, Any]]:
    """A model on every board at every share; none where it is not supported or too large."""
    for board in bench.boards:
        for sparsity in bench.sparsities:
            print(f"{path.stem} on {board}, {100 * sparsity:g} % zeros", file=sys.stderr)
            try:
                yield measure(bench, path, board, sparsity)
            except (DoesNotFitError, UnsupportedModelError) as error:
                print(f"  left out: {error}", file=sys.stderr)
                break


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|---|" + "---:|" * (len(rows[0]) - 1), *body]) + "\n"


def _by_model(entries: Sequence[Entry], board: str) -> dict[str, dict[float, Entry]]:
    found: dict[str, dict[float, Entry]] = {}
    for entry in entries:
        if entry["board"] == board:
            found.setdefault(entry["model"], {})[entry["sparsity"]] = entry
    return found


def _shares(entries: Sequence[Entry]) -> list[float]:
    return sorted({entry["sparsity"] for entry in entries})


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def _cells(entries: Sequence[Entry], by_share: Mapping[float, Entry], key: str) -> list[str]:
    """A total at every share; nothing where it was left out."""
    totals = [by_share[share]["totals"] if share in by_share else {} for share in _shares(entries)]
    return [_cell(each.get(key)) for each in totals]


def _cost_table(
    entries: Sequence[Entry], board: str, key: str, peers: Mapping[str, Mapping[str, int]]
) -> str:
    """One quantity of all models on a board, with the peer's beside it where it is known."""
    rows = []
    for model, by_share in _by_model(entries, board).items():
        peer = peers.get(model, {}).get(find_board(board).cpu)
        macs = next(iter(by_share.values()))["totals"]["macs"]
        rows.append([model, f"{macs:,}", _cell(peer), *_cells(entries, by_share, key)])
    head = ["model", "MACs", "CMSIS-NN, dense"]
    return _markdown([head + [f"{100 * share:g} % zeros" for share in _shares(entries)], *rows])


def _memory_table(entries: Sequence[Entry]) -> str:
    rows = [["model", "RAM", *(f"flash, {100 * share:g} %" for share in _shares(entries))]]
    for model, by_share in _by_model(entries, BOARDS[0]).items():
        ram = max(entry["totals"]["arena_bytes"] for entry in by_share.values())
        rows.append([model, f"{ram:,}", *_cells(entries, by_share, "flash_bytes")])
    return _markdown(rows)


def _telemetry_line(entries: Sequence[Entry]) -> str:
    zeros = [100 * entry["telemetry"]["zeros"] / entry["totals"]["count"] for entry in entries]
    records = [entry["telemetry"]["records"] for entry in entries]
    return (
        f"Telemetry: counting zeros is {min(zeros):.1f} to {max(zeros):.1f} % of these counts;"
        f" building a run's records comes on top, {min(records):,} to {max(records):,}"
        " instructions.\n"
    )


def blocks(entries: Sequence[Entry], bench: Bench, baseline: Mapping[str, Any]) -> str:
    """All that stands between the markers."""
    versions = ", ".join(f"{name} {version}" for name, version in baseline["versions"].items())
    heading = (
        f"`make bench` writes this section. One inference, mean of {bench.runs} made-up rows;"
        f" zeros by `--method {bench.method}` in convolutions and fully connected layers, depthwise"
        f" stays dense.\nBeside it {baseline['what']} ({versions}).\n"
    )
    parts = [heading]
    for board in bench.boards:
        for key in ("count", "modelled_cycles"):
            if not any(key in entry["totals"] for entry in entries if entry["board"] == board):
                continue
            quantity = "instructions" if key == "count" else "modelled cycles"
            peers = {
                model: values.get(quantity.replace(" ", "_"), {})
                for model, values in baseline["models"].items()
            }
            cpu = find_board(board).cpu
            parts += [f"**{cpu}, {quantity}** (`--board {board}`)\n"]
            parts += [_cost_table(entries, board, key, peers)]
    parts += ["**Memory, bytes**: the image in flash, tensors and scratch in RAM.\n"]
    parts += [_memory_table(entries), _telemetry_line(entries)]
    return "\n".join(parts)


def rewritten(text: str, new: str) -> str:
    """README's text with the block replaced.  SystemExit unless it has the markers once."""
    found, count = _MARKER.subn(lambda match: f"{match[1]}{new}{match[2]}", text)
    if count != 1:
        raise SystemExit("README.md needs one pair of markers <!-- bench --> <!-- end bench -->")
    return found


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--json", type=Path, help="write the document there, too")
    arguments = parser.parse_args()
    paths = sorted(p for p in arguments.models.glob("*/*.tflite") if p.stem == p.parent.name)
    if not paths:
        raise SystemExit(f"no models in {arguments.models}; set EDGESPARSE_MODELS")
    bench = Bench(models=tuple(paths), boards=BOARDS, runs=5)
    entries = [entry for path in paths for entry in entries_of(bench, path)]
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    text = README.read_text(encoding="utf-8")
    write_file(README, rewritten(text, blocks(entries, bench, baseline)).encode("utf-8"))
    if arguments.json is not None:
        write_file(arguments.json, json.dumps(as_document(entries), indent=1).encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
