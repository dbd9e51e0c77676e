"""SPEC.md says what the tables say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from edgesparse import native

ROOT = Path(__file__).resolve().parents[2]


def _spec_tables() -> object:
    spec = importlib.util.spec_from_file_location("spec_tables", ROOT / "host" / "spec_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_spec_is_up_to_date() -> None:
    text = (ROOT / "SPEC.md").read_text(encoding="utf-8")
    assert _spec_tables().rewritten(text) == text, "run 'make spec'"  # type: ignore[attr-defined]


def test_spec_shows_every_table_and_struct() -> None:
    text = (ROOT / "SPEC.md").read_text(encoding="utf-8")
    structs = set(re.findall(r"<!-- struct (\w+) -->", text))
    tables = set(re.findall(r"<!-- table (\w+) -->", text))
    assert structs == set(native.layouts())
    assert tables == {
        "status", "section", "type", "place", "op", "kernel", "in_place", "isa", "encoding",
        "record", "reset_reason", "unit",
    }  # fmt: skip


def test_structs_have_no_padding() -> None:
    for layout in native.layouts().values():
        assert layout.codec.size == layout.size_bytes, layout.name
