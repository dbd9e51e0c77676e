"""The package as a user installs it: a new environment, a folder of no project, no Arm compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from edgesparse.deploy.boards import find_board, list_boards
from edgesparse.deploy.firmware import ensure_firmware, read_firmware

ROOT = Path(__file__).resolve().parents[2]


def build_wheel(folder: Path, *settings: str) -> Path:
    """A wheel of this checkout, as `make wheel` builds it."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
    options = [f"--config-settings={setting}" for setting in settings]
    subprocess.run([*command, *options, "-w", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what it depends on, from the package index."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    install(folder, wheel)
    return folder


def install(environment: Path, wheel: Path, *options: str) -> None:
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", *options, str(wheel)], check=True)


@dataclass(frozen=True)
class User:
    """Somebody with an environment and QEMU, but no compiler, in an empty folder."""

    environment: Path
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        programs = self.folder / "programs"
        programs.mkdir(exist_ok=True)
        for name in ("qemu-system-arm", "sh"):
            path = shutil.which(name)
            assert path is not None
            if not (programs / name).exists():
                (programs / name).symlink_to(path)
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        return subprocess.run(
            [str(self.environment / "bin" / "edgesparse"), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=work,
            env={**os.environ, "PATH": str(programs), "XDG_CACHE_HOME": str(self.folder / "cache")},
        )

    def installed(self, name: str) -> Path:
        (package,) = self.environment.glob("lib/python*/site-packages/edgesparse")
        return package / name


def test_wheel_holds_the_firmware_of_every_board(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    boards = [board for board in list_boards() if board.has_firmware]
    carried = tmp_path / "edgesparse" / "_firmware"
    assert {path.stem for path in carried.iterdir()} == {board.name for board in boards}
    for board in boards:
        built = ensure_firmware(board).path.read_bytes()
        assert (carried / f"{board.name}.elf").read_bytes() == built
    for name in ("CMakeLists.txt", "firmware/build_id.py", "firmware/only_kernels.py"):
        carried_source = tmp_path / "edgesparse" / "_sources" / name
        assert carried_source.read_bytes() == (ROOT / name).read_bytes()


def test_deploys_with_the_firmware_that_the_wheel_carries(
    wheel: Path, environment: Path, tmp_path: Path
) -> None:
    user = User(environment, tmp_path)
    install(environment, wheel, "--no-deps", "--force-reinstall")
    done = user.run("deploy", "--board", "qemu", "--runs", "2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    carried = read_firmware(user.installed(f"_firmware/{find_board('qemu').name}.elf"))
    assert document["firmware_build_id"] == carried.build_id
    assert (document["runs"], document["mismatches"], document["unit"]) == (2, 0, "instructions")
    assert not (tmp_path / "cache").exists()
    assert json.loads(user.run("doctor", "--json").stdout)["missing"] == []


def test_without_firmware_native_works_and_the_rest_is_named(
    environment: Path, tmp_path: Path
) -> None:
    settings = [f"build-dir={tmp_path / 'build'}", "cmake.define.ES_ARM_COMPILER=OFF"]
    settings += ["cmake.build-type=Debug"]  # nobody waits for its kernels, but for the compiler
    install(environment, build_wheel(tmp_path, *settings), "--no-deps", "--force-reinstall")
    user = User(environment, tmp_path)
    assert not user.installed("_firmware").exists()
    done = user.run("deploy", "--board", "native", "--runs", "2", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["mismatches"] == 0
    done = user.run("deploy", "--board", "qemu", "--runs", "2")
    assert done.returncode == 5
    assert "arm-none-eabi-gcc is missing; get it with: " in done.stderr
    assert "gcc-arm-none-eabi" in done.stderr
    done = user.run("doctor", "--json")
    assert done.returncode == 5
    assert "arm-none-eabi-gcc" in json.loads(done.stdout)["missing"]
    assert "gcc-arm-none-eabi" in json.loads(done.stdout)["remedy"]
