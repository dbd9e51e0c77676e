"""`edgesparse report`: the figures behind the page, its charts, and what it is made of."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edgesparse.cli import main
from edgesparse.html_report import gather_report, render_page
from edgesparse.html_report.charts import box_plot, histogram, line, paired_bars
from edgesparse.html_report.cuts import good_cuts, packed_bytes


def layer(index: int, size: int, zeros: float, count: float, *reads: int) -> dict[str, Any]:
    return {
        "index": index,
        "name": f"layer{index}",
        "node": index,
        "reads": list(reads),
        "activations": size,
        "activation_zeros": zeros,
        "count": count,
    }


# --- Cuts --------------------------------------------------------------------------------------


def test_packed_bytes_are_a_bitmap_and_the_values_left() -> None:
    assert packed_bytes(80, 60) == 10 + 20
    assert packed_bytes(9, 8) == 2 + 1
    assert packed_bytes(9, 1) == 9  # a bitmap does not pay


def test_a_cut_sends_less_than_every_earlier_one() -> None:
    chain = [
        layer(0, 800, 400, 10),
        layer(1, 800, 0, 50, 0),  # sends more: no place to cut
        layer(2, 80, 60, 40, 1),
        layer(3, 8, 0, 0, 2),
    ]
    cuts = good_cuts(chain)
    assert [(cut["layer"], cut["packed_bytes"]) for cut in cuts] == [(0, 500), (2, 30)]
    assert [cut["count_before"] for cut in cuts] == [0.1, 1.0]


def test_a_shortcut_is_sent_too() -> None:
    residual = [layer(0, 80, 0, 1), layer(1, 80, 0, 1, 0), layer(2, 80, 0, 1, 0, 1)]
    cuts = good_cuts(residual)
    assert [(cut["layer"], cut["tensors"], cut["bytes"]) for cut in cuts] == [(0, 1, 80)]
    wide = [layer(0, 8, 0, 1), layer(1, 1, 0, 1, 0), layer(2, 8, 0, 1, 0, 1)]
    assert [cut["tensors"] for cut in good_cuts(wide)] == [1]


# --- Charts ------------------------------------------------------------------------------------


def course(*mean: float) -> dict[str, list[float]]:
    return {"mean": list(mean), "least": list(mean), "most": list(mean)}


def test_a_line_has_a_point_a_value_and_never_too_many() -> None:
    points = re.search(r'polyline class="line" points="([^"]*)"', line(course(0.0, 0.5, 1.0), "t"))
    assert points is not None
    assert points[1].split() == ["0.0,34.0", "120.0,18.0", "240.0,2.0"]
    many = re.search(r'polyline class="line" points="([^"]*)"', line(course(*[0.5] * 10_000), "t"))
    assert many is not None
    assert len(many[1].split()) == 240
    assert 'points="0.0,18.0 240.0,18.0"' in line(course(0.5), "t")


def test_the_band_goes_from_least_to_most() -> None:
    drawn = line({"mean": [0.5, 0.5], "least": [0.0, 0.25], "most": [1.0, 0.75]}, "t")
    assert 'points="0.0,34.0 240.0,26.0 240.0,10.0 0.0,2.0"' in drawn


def test_a_box_plot_draws_the_quantiles() -> None:
    drawn = box_plot({"min": 0.1, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1.0}, "t")
    assert 'x1="12.0" x2="120.0"' in drawn
    assert 'x="30.0" y="2" width="60.0"' in drawn
    assert 'class="median" x1="60.0"' in drawn


def test_a_histogram_has_a_bar_a_bin() -> None:
    drawn = histogram([0, 5, 10, 0], "t")
    assert re.findall(r'height="([\d.]+)"/>', drawn) == ["0.0", "17.0", "34.0", "0.0"]


def test_names_are_escaped() -> None:
    drawn = paired_bars([("<b>&", 2.0, 1.0)], "<t>")
    assert "&lt;b&gt;&amp;" in drawn
    assert "<title>&lt;t&gt;</title>" in drawn
    assert [float(width) for width in re.findall(r'width="([\d.]+)"', drawn)] == [480, 240]


# --- The whole ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of the demo on native."""
    folder = tmp_path_factory.mktemp("log") / "run"
    options = ["--method", "topk", "--sparsity", "0.8", "--log", str(folder), "--json"]
    assert main(["deploy", "--board", "native", "--runs", "12", *options]) == 0
    return folder


def test_figures_are_those_of_the_summary(log: Path) -> None:
    summary = json.loads((log / "summary.json").read_text())
    (run,) = gather_report([log])["runs"]
    assert {key: run[key] for key in ("model", "runs", "accuracy", "totals")} == {
        key: summary[key] for key in ("model", "runs", "accuracy", "totals")
    }
    for row, summed in zip(run["layers"], summary["layers"], strict=True):
        if row["over_time"]:
            mean = sum(row["over_time"]["mean"]) / len(row["over_time"]["mean"])
            assert mean == pytest.approx(summed["activation_zeros"] / summed["activations"])
            spread = row["over_inputs"]
            assert spread["min"] <= spread["median"] <= spread["max"]
            assert spread["max"] == pytest.approx(max(row["over_time"]["mean"]))
    right = sum(each["right"] for each in run["classes"])
    assert right / sum(each["runs"] for each in run["classes"]) == pytest.approx(run["accuracy"])


def test_windows_are_told_with_their_least_and_most(tmp_path: Path) -> None:
    single, windows = tmp_path / "single", tmp_path / "windows"
    common = ["deploy", "--board", "native", "--runs", "12", "--json", "--log"]
    assert main([*common, str(single)]) == 0
    assert main([*common, str(windows), "--every", "4"]) == 0
    (one, other) = gather_report([single, windows])["runs"]
    for row, windowed in zip(one["layers"], other["layers"], strict=True):
        if row["over_time"] is None:
            assert windowed["over_time"] is None
            continue
        shares = row["over_time"]["mean"]
        parts = [shares[i : i + 4] for i in (0, 4, 8)]
        assert windowed["over_time"]["mean"] == pytest.approx([sum(part) / 4 for part in parts])
        assert windowed["over_time"]["least"] == pytest.approx([min(part) for part in parts])
        assert windowed["over_time"]["most"] == pytest.approx([max(part) for part in parts])
        assert windowed["over_inputs"]["min"] == pytest.approx(min(shares))
        assert windowed["over_inputs"]["max"] == pytest.approx(max(shares))
    assert "band" in render_page(gather_report([windows]))


def test_activations_set_to_zero_are_told_where_there_are_thresholds(
    log: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut"
    options = ["--activation-threshold", "0.1", "--runs", "4", "--log", str(cut), "--json"]
    assert main(["deploy", "--board", "native", *options]) == 0
    (run,) = gather_report([cut])["runs"]
    shares = [row["thresholded_share"] for row in run["layers"]]
    assert [i for i, share in enumerate(shares) if share is not None] == [0, 2, 3, 5]
    first = run["layers"][0]
    assert shares[0] == first["thresholded"] / first["activations"] > 0
    page = render_page(gather_report([cut]))
    assert f'<td data-value="{shares[0]}">{100 * shares[0]:.1f}</td>' in page
    assert "set to zero %" in page
    assert "set to zero %" not in render_page(gather_report([log]))


class _Links(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_fetches_nothing(log: Path) -> None:
    parser = _Links()
    page = render_page(gather_report([log, log]))
    parser.feed(page)
    assert {link for link in parser.found if not link.startswith("#")} == {"data:,"}
    assert "url(" not in page
    assert "@import" not in page


def test_the_command_writes_the_page(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.html"
    assert main(["report", str(log), "-o", str(target)]) == 0
    assert capsys.readouterr().out == f"wrote {target}\n"
    assert target.read_text() == render_page(gather_report([log]))
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"]


def test_against_a_run_of_other_inputs(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    assert main(["deploy", "--board", "native", "-n", "2", "--log", str(other), "--json"]) == 0
    capsys.readouterr()
    assert main(["report", str(log), "--against", str(other), "-o", str(tmp_path / "x")]) == 2
    assert "different inputs" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_no_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "session.json" in capsys.readouterr().err
