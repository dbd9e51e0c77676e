"""Measure the shared models and rewrite the tables of docs/performance.md and README.md.

Usage: bench_docs.py MODELS [--only NAME …] [--json FILE].  MODELS is a folder with
NAME/NAME.tflite in it, and perhaps NAME/data.npz.
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
from edgesparse.inputs import load_inputs
from edgesparse.pipeline import AUTO, OFF, Recipe

ROOT = Path(__file__).resolve().parents[1]
README, DOCUMENT = ROOT / "README.md", ROOT / "docs" / "performance.md"
BASELINE = Path(__file__).resolve().parent / "bench" / "baseline.json"
BOARDS = ("qemu-mps2-an386", "qemu-mps2-an500")
SHARES = (0.0, 0.5, 0.8, 0.9)
RUNS, FEW_RUNS = 20, 5
_MARKER = re.compile(r"(<!-- bench -->\n).*?(<!-- end bench -->)", flags=re.DOTALL)

# What a table shows, and what the kernels are chosen for where it is measured.
_QUANTITIES = {"instructions": "count", "cycles": "modelled_cycles"}
_NAMES = {"instructions": "instructions", "cycles": "modelled cycles"}

Entry = Mapping[str, Any]
Case = tuple[float, str]
CASES: tuple[Case, ...] = ((0.0, OFF), *((share, AUTO) for share in SHARES))


def profile_rows(count: int) -> tuple[int, int]:
    """The rows that tell which zeros to expect: 100-119, or the last 20; they are not run."""
    return (100, 120) if count >= 120 else (max(count - 20, FEW_RUNS), count)


def bench_of(path: Path, optimize: str, *, runs: int) -> Bench:
    """What to measure of a model: its own rows from the first one on, else made-up ones."""
    data = path.parent / "data.npz"
    if not data.is_file():
        choice = Recipe(optimize=optimize)
        return Bench(models=(path,), boards=BOARDS, choice=choice, runs=runs)
    rows = load_inputs(data).rows
    choice = Recipe(optimize=optimize, profile=data, profile_rows=profile_rows(rows))
    return Bench(models=(path,), boards=BOARDS, choice=choice, inputs=data, runs=runs)


def entries_of(bench: Bench, path: Path) -> Iterator[dict[str, Any]]:
    """A model on every board in every case; none where it is not supported or too large."""
    for board in bench.boards:
        for sparsity, skip in CASES:
            what = f"{100 * sparsity:g} % zeros, skip {skip}, for {bench.choice.optimize}"
            print(f"{path.stem} on {board}, {what}", file=sys.stderr)
            try:
                yield measure(bench, path, board, sparsity, skip=skip)
            except (DoesNotFitError, UnsupportedModelError) as error:
                print(f"  left out: {error}", file=sys.stderr)
                break


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|---|" + "---:|" * (len(rows[0]) - 1), *body]) + "\n"


def _case_of(entry: Entry) -> Case:
    return entry["sparsity"], entry["skip_activations"]


def _case_name(case: Case) -> str:
    share, skip = case
    return f"{100 * share:g} % zeros" + (", none skipped" if skip == OFF else "")


def _by_model(
    entries: Sequence[Entry], board: str, optimize: str
) -> dict[str, dict[Case, Mapping[str, Any]]]:
    """Totals by model and case."""
    found: dict[str, dict[Case, Mapping[str, Any]]] = {}
    for entry in entries:
        if entry["board"] == board and entry["goal"]["optimize"] == optimize:
            found.setdefault(entry["model"], {})[_case_of(entry)] = entry["totals"]
    return found


def _cell(number: float | None, peer: float | None = None) -> str:
    """A number, and how many times as much the peer takes."""
    ratio = f" ({peer / number:.2f}x)" if peer and number else ""
    return "" if number is None else f"{number:,.0f}{ratio}"


def _peers(baseline: Mapping[str, Any], optimize: str) -> dict[str, Mapping[str, int]]:
    """What the peer takes, by model and core."""
    key = _NAMES[optimize].replace(" ", "_")
    return {model: values.get(key, {}) for model, values in baseline["models"].items()}


def _cost_table(
    entries: Sequence[Entry], board: str, optimize: str, baseline: Mapping[str, Any]
) -> str:
    """One quantity of all models on a board, with the peer's beside it where it is known."""
    key, cpu = _QUANTITIES[optimize], find_board(board).cpu
    peers = _peers(baseline, optimize)
    rows = [["model", "MACs", "CMSIS-NN, dense", *map(_case_name, CASES)]]
    for model, by_case in _by_model(entries, board, optimize).items():
        peer = peers.get(model, {}).get(cpu)
        cells = [_cell(by_case.get(case, {}).get(key), peer) for case in CASES]
        macs = next(iter(by_case.values()))["macs"]
        rows.append([model, f"{macs:,}", _cell(peer), *cells])
    return _markdown(rows)


def _memory_table(entries: Sequence[Entry], baseline: Mapping[str, Any]) -> str:
    cases = CASES[1:]
    rows = [["model", "RAM", "RAM of the peer", *(f"flash, {100 * s:g} %" for s, _ in cases)]]
    for model, by_case in _by_model(entries, BOARDS[0], "cycles").items():
        ram = max(totals["arena_bytes"] for totals in by_case.values())
        peer = baseline["models"].get(model, {}).get("arena_bytes")
        flash = [_cell(by_case.get(case, {}).get("flash_bytes")) for case in cases]
        rows.append([model, f"{ram:,}", _cell(peer), *flash])
    return _markdown(rows)


def _telemetry_line(entries: Sequence[Entry]) -> str:
    zeros = [100 * entry["telemetry"]["zeros"] / entry["totals"]["count"] for entry in entries]
    records = [entry["telemetry"]["records"] for entry in entries]
    return (
        f"Telemetry: counting zeros is {min(zeros):.1f} to {max(zeros):.1f} % of these counts;"
        f" building a run's records comes on top, {min(records):,} to {max(records):,}"
        " instructions.\n"
    )


def headline(entries: Sequence[Entry], baseline: Mapping[str, Any]) -> str:
    """README's table: instructions on the first board, of the models that have a peer."""
    known = [entry for entry in entries if entry["model"] in baseline["models"]]
    return _cost_table(known, BOARDS[0], "instructions", baseline)


def blocks(entries: Sequence[Entry], baseline: Mapping[str, Any]) -> str:
    """All that stands between the markers of docs/performance.md."""
    versions = ", ".join(f"{name} {version}" for name, version in baseline["versions"].items())
    heading = (
        f"`make bench` writes this page. One inference, mean of the first {RUNS} rows of the"
        f" model's data ({FEW_RUNS} where there is no peer); other rows said which zeros to expect"
        " in activations. Zeros by `--method topk` in convolutions and fully connected layers,"
        " depthwise stays dense; kernels are chosen for what the table shows.\n"
        f"Beside it {baseline['what']} ({versions}); in parentheses how many times as much that"
        " takes.\n"
    )
    parts = [heading]
    for board in BOARDS:
        for optimize, key in _QUANTITIES.items():
            if not any(key in entry["totals"] for entry in entries if entry["board"] == board):
                continue
            name = _NAMES[optimize]
            cpu = find_board(board).cpu
            parts += [f"**{cpu}, {name}** (`--board {board} --optimize {optimize}`)\n"]
            parts += [_cost_table(entries, board, optimize, baseline)]
    parts += ["**Memory, bytes**: the image in flash, tensors and scratch in RAM, for cycles.\n"]
    parts += [_memory_table(entries, baseline), _telemetry_line(entries)]
    return "\n".join(parts)


def rewrite(path: Path, new: str) -> None:
    """Replace what is between a file's markers.  SystemExit unless it has them once."""
    text = path.read_text(encoding="utf-8")
    found, count = _MARKER.subn(lambda match: f"{match[1]}{new}{match[2]}", text)
    if count != 1:
        raise SystemExit(f"{path.name} needs one pair of <!-- bench --> <!-- end bench -->")
    write_file(path, found.encode("utf-8"))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these models, on stdout")
    parser.add_argument("--json", type=Path, help="write the document there, too")
    arguments = parser.parse_args()
    paths = sorted(p for p in arguments.models.glob("*/*.tflite") if p.stem == p.parent.name)
    paths = [path for path in paths if arguments.only is None or path.stem in arguments.only]
    if not paths:
        raise SystemExit(f"no models in {arguments.models}; set EDGESPARSE_MODELS")
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    entries = [
        entry
        for path in paths
        for optimize in _QUANTITIES
        for entry in entries_of(
            bench_of(path, optimize, runs=RUNS if path.stem in baseline["models"] else FEW_RUNS),
            path,
        )
    ]
    if arguments.only is None:
        rewrite(DOCUMENT, blocks(entries, baseline))
        rewrite(README, headline(entries, baseline))
    else:
        print(blocks(entries, baseline))
    if arguments.json is not None:
        write_file(arguments.json, json.dumps(as_document(entries), indent=1).encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
