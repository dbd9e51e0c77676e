"""The report in a headless Chromium: console, charts, sorting, small screens, dark mode, paper."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from edgesparse.cli import main
from edgesparse.html_report import gather_report, render_page

RUNS = 8

_SIZES = """
return [...document.querySelectorAll("svg.chart")].map(chart => {
  const marks = [...chart.querySelectorAll("rect, polyline, line.line")];
  const shown = marks.filter(mark => mark.getBoundingClientRect().width > 0);
  const box = chart.getBoundingClientRect();
  return [box.width, box.height, shown.length];
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a dense and a sparse run of the demo in QEMU, the second against the first."""
    folder = tmp_path_factory.mktemp("report")
    common = ["--board", "qemu", "--runs", str(RUNS), "--json"]
    dense, sparse = folder / "dense", folder / "sparse"
    assert main(["deploy", *common, "--log", str(dense), "--encoding", "dense"]) == 0
    thin = ["--method", "topk", "--sparsity", "0.8"]
    assert main(["deploy", *common, "--log", str(sparse), *thin]) == 0
    path = folder / "report.html"
    path.write_text(render_page(gather_report([dense, sparse], dense)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    browser, program = shutil.which("chromium"), shutil.which("chromedriver")
    assert browser, "chromium is missing; make test installs it"
    assert program, "chromedriver is missing; make test installs it"
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program))
    yield driver
    driver.quit()


@pytest.fixture
def opened(driver: webdriver.Chrome, page: Path) -> webdriver.Chrome:
    emulate(driver, "screen", "light")
    driver.set_window_size(1280, 900)
    driver.get(page.as_uri())
    return driver


def emulate(driver: webdriver.Chrome, media: str, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def column(driver: webdriver.Chrome, index: int) -> list[float]:
    script = """
    const table = document.querySelector("#run2 table.layers");
    return [...table.tBodies[0].rows].map(row => Number(row.cells[arguments[0]].dataset.value));
    """
    values: list[float] = driver.execute_script(script, index)
    return values


def test_nothing_on_the_console_and_nothing_fetched(opened: webdriver.Chrome) -> None:
    assert opened.get_log("browser") == []
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_every_chart_is_drawn(opened: webdriver.Chrome) -> None:
    sizes: list[list[float]] = opened.execute_script(_SIZES)
    layers = len(opened.find_elements(By.CSS_SELECTOR, "#run1 table.layers tbody tr"))
    # For each run a plot of the spread and a line for each layer that has activations, and costs.
    assert len(sizes) > 2 * layers
    for width, height, marks in sizes:
        assert width > 50
        assert height > 5
        assert marks > 0


def test_sorting(opened: webdriver.Chrome) -> None:
    headers = opened.find_elements(By.CSS_SELECTOR, "#run2 table.layers th")
    names = [header.text for header in headers]
    index = names.index("activations zero %")
    button = headers[index].find_element(By.TAG_NAME, "button")
    before = column(opened, index)
    button.click()
    down = column(opened, index)
    assert down == sorted(before, reverse=True)
    assert headers[index].get_attribute("aria-sort") == "descending"
    button.click()
    assert column(opened, index) == sorted(before)
    headers[0].find_element(By.TAG_NAME, "button").click()
    assert headers[index].get_attribute("aria-sort") is None
    assert column(opened, 0) == sorted(column(opened, 0), reverse=True)


@pytest.mark.parametrize("width", [360, 768])
def test_fits_small_screens(opened: webdriver.Chrome, width: int) -> None:
    size: dict[str, Any] = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def colours(driver: webdriver.Chrome) -> tuple[str, str]:
    script = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color];"
    background, ink = driver.execute_script(script)
    return background, ink


def test_dark_mode_and_paper(opened: webdriver.Chrome) -> None:
    light = colours(opened)
    assert light[0] == "rgb(255, 255, 255)"
    emulate(opened, "screen", "dark")
    dark = colours(opened)
    assert dark[0] != light[0]
    assert dark[1] != light[1]
    emulate(opened, "print", "dark")
    assert colours(opened) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
    pdf = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF")
