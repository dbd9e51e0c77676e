"""The pytest plugin: models on boards, deployed once a session.

Every pytest in an environment with edgesparse loads this file, so that it imports nothing of
edgesparse before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from edgesparse.testing.run import Run

    DeployFunction: TypeAlias = Callable[..., Run]

_BOARDS = "--edgesparse-board"
_RUNS = pytest.StashKey[list[Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The boards to run on."""
    group = parser.getgroup("edgesparse", "neural networks on Cortex-M")
    group.addoption(
        _BOARDS,
        metavar="BOARD,…",
        help="boards that models are deployed to, see 'edgesparse boards' (default: qemu)",
    )
    parser.addini("edgesparse_board", f"default of {_BOARDS}", default="qemu")


def _boards(config: pytest.Config) -> list[str]:
    given = config.getoption(_BOARDS) or config.getini("edgesparse_board")
    return [name.strip() for name in given.split(",")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What needs a board runs once on each."""
    if "edgesparse_board" in metafunc.fixturenames:
        metafunc.parametrize(
            "edgesparse_board", _boards(metafunc.config), indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def edgesparse_board(request: pytest.FixtureRequest) -> str:
    """The board of this pass: each one of --edgesparse-board."""
    board: str = request.param
    return board


@pytest.fixture(scope="session")
def edgesparse_deploy(
    request: pytest.FixtureRequest,
    edgesparse_board: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> DeployFunction:
    """A function that deploys a model to the board and returns its edgesparse.testing.Run.

    ``edgesparse_deploy("model.tflite", inputs="data.npz", runs=20, method="topk", sparsity=0.5)``;
    the arguments are those of edgesparse.testing.deploy.  The same call again in this session
    returns the same run.
    """
    done: dict[str, Run] = {}

    def deploy(model: Path | str | None = None, **options: Any) -> Run:
        from edgesparse import testing
        from edgesparse.errors import EdgesparseError

        key = repr((model, sorted(options.items())))
        if key not in done:
            log = tmp_path_factory.mktemp("edgesparse") / "run"
            try:
                done[key] = testing.deploy(model, board=edgesparse_board, log=log, **options)
            except EdgesparseError as error:
                hint = f"\n  hint: {error.hint}" if error.hint else ""
                pytest.fail(f"edgesparse: {error}{hint}", pytrace=False)
            request.config.stash.setdefault(_RUNS, []).append(done[key])
        return done[key]

    return deploy


def _line(run: Run) -> str:
    document = run.document
    totals = document["totals"]
    parts = [f"{document['model']} on {document['board']}, mean of {document['runs']} runs:"]
    if document["unit"] != "none":
        parts.append(f"{totals['count']:,.0f} {document['unit']},")
    parts.append(f"{100 * run.macs_skipped:.1f} % of MACs skipped,")
    if document["accuracy"] is not None:
        parts.append(f"accuracy {100 * run.accuracy:.2f} %,")
    parts.append(f"{run.flash_bytes:,} bytes of flash, {run.arena_bytes:,} bytes of RAM")
    return " ".join(parts)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """A line for each run, so that the figures are in the log of every CI job."""
    runs = config.stash.get(_RUNS, [])
    if runs:
        terminalreporter.section("edgesparse")
        for run in runs:
            terminalreporter.write_line(_line(run))
