"""Options and fixtures that every folder of tests may use."""

import os
from pathlib import Path

import pytest

from edgesparse.deploy.boards import find_board


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to run what runs anywhere."""
    parser.addoption(
        "--target",
        default="native,qemu-mps2-an386",
        help="boards that tests of behaviour run on, with commas between them",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `board` runs once on every board of --target."""
    if "board" in metafunc.fixturenames:
        names = metafunc.config.getoption("--target").split(",")
        metafunc.parametrize("board", [find_board(name) for name in names], ids=names)


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Folder of the shared real models: $EDGESPARSE_MODELS, or ../shared/models by the clone."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "models"
    folder = Path(os.environ.get("EDGESPARSE_MODELS") or beside)
    if not folder.is_dir():
        reason = f"shared models not found in {folder}; set EDGESPARSE_MODELS"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
