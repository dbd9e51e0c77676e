"""What is missing, what could be but is not needed, and the command that mends it."""

from __future__ import annotations

from typing import Any

import pytest

from edgesparse import doctor, oracle
from edgesparse.errors import MissingToolError


@pytest.fixture(autouse=True)
def _without_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


def found(document: dict[str, Any], name: str) -> dict[str, Any]:
    (finding,) = (each for each in document["findings"] if each["name"] == name)
    return finding


def test_compiler_is_missing_where_firmware_has_to_be_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "firmware_at_hand", lambda board, build_id: None)
    document = doctor.diagnose()
    assert document["missing"] == ["qemu-system-arm", "arm-none-eabi-gcc", "newlib"]
    assert document["remedy"] == (
        "sudo apt-get install -y --no-install-recommends"
        " qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi"
    )
    with pytest.raises(MissingToolError, match="arm-none-eabi-gcc"):
        doctor.check_doctor(document)


def test_compiler_is_not_missing_where_all_firmware_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "firmware_at_hand", lambda board, build_id: board)
    document = doctor.diagnose()
    assert document["missing"] == ["qemu-system-arm"]
    assert found(document, "firmware")["found"] == "built for all boards"
    assert (found(document, "newlib")["found"], found(document, "newlib")["needed"]) == ("", False)


def test_a_missing_oracle_is_installed_by_what_this_python_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "_oracle", lambda: "")
    monkeypatch.setattr(oracle, "wanted_packages", lambda: ("tflite-runtime==2.14.0", "numpy<2"))
    document = doctor.diagnose()
    assert "oracle" in document["missing"]
    assert document["remedy"].endswith(" && pip install tflite-runtime==2.14.0 'numpy<2'")


def test_where_there_is_no_oracle_none_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_oracle", lambda: "")
    monkeypatch.setattr(oracle, "wanted_packages", lambda: ())
    document = doctor.diagnose()
    assert "oracle" not in document["missing"]
    assert found(document, "oracle")["needed_for"] == "validate; none is released for this Python"
    assert "pip" not in document["remedy"]
