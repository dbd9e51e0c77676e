import copy
import pickle
import re

import pytest

from edgesparse import errors
from edgesparse.errors import (
    DeviceFaultError,
    DoesNotFitError,
    EdgesparseError,
    ImageRefusedError,
    LinkTimeoutError,
    MissingToolError,
    ModelError,
    StoppedError,
    UnsupportedModelError,
    UsageError,
)

ALL = [getattr(errors, name) for name in errors.__all__]
ONE_OF_EACH = [
    EdgesparseError("bug"),
    UsageError("no such option", hint="see --help"),
    UnsupportedModelError([("PAD", "a", "operator is not supported")]),
    ImageRefusedError("ES_ERR_CRC", "weights", 4096, hint="make the image again"),
    MissingToolError("qemu-system-arm", "apt-get install qemu-system-arm"),
    DoesNotFitError("arena in RAM", 70_000, 65_536),
    LinkTimeoutError("no HELLO in 5 s"),
    DeviceFaultError("HardFault at 0x8000123"),
    StoppedError(),
]


def test_docstring_draws_the_tree_with_every_class_and_its_code():
    drawn = re.findall(r"^ *[│├└─ ]*(\w+Error) +(\d*)", errors.__doc__, re.MULTILINE)
    assert {name for name, _ in drawn} == {cls.__name__ for cls in ALL}
    codes = {name: int(code) for name, code in drawn if code}
    assert codes == {
        cls.__name__: cls.exit_code
        for cls in ALL
        if cls is EdgesparseError or cls.__base__ is EdgesparseError
    }


def test_documented_exit_codes():
    codes = {cls.__name__: cls.exit_code for cls in ALL}
    assert codes == {
        "EdgesparseError": 1,
        "UsageError": 2,
        "ModelError": 3,
        "UnsupportedModelError": 3,
        "FormatError": 4,
        "ImageRefusedError": 4,
        "TargetError": 5,
        "MissingToolError": 5,
        "DoesNotFitError": 5,
        "DeviceError": 6,
        "LinkTimeoutError": 6,
        "DeviceFaultError": 6,
        "VerificationError": 7,
        "RegressionError": 8,
        "StoppedError": 130,
    }


def test_all_names_every_error_class():
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, EdgesparseError)
    }
    assert set(errors.__all__) == defined


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
def test_errors_keep_their_fields_when_pickled_and_copied(error):
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert vars(other) == vars(error)
        assert str(other) == str(error)


def test_message_is_one_line():
    error = ModelError("first\nsecond\r\nthird", hint="try this")
    assert str(error) == "first second third"
    assert error.hint == "try this"
    assert UsageError("x").hint is None


def test_unsupported_model_lists_every_offender():
    offenders = [
        ("PAD", "pad_1", "operator is not supported"),
        ("CONV_2D", "conv", "input is uint8"),
        ("PAD", "pad_2", "operator is not supported"),
    ]
    error = UnsupportedModelError(offenders)
    assert error.offenders == tuple(offenders)
    assert str(error) == (
        "model not supported, 3 problems: PAD 'pad_1', 'pad_2': operator is not supported;"
        " CONV_2D 'conv': input is uint8"
    )
    assert "1 problem:" in str(UnsupportedModelError(offenders[:1]))


def test_does_not_fit_names_all_three_numbers():
    error = DoesNotFitError("arena in RAM", 70_000, 65_536)
    assert error.missing == 4464
    assert str(error) == (
        "arena in RAM does not fit: 70000 bytes needed, 65536 available, 4464 missing"
    )


def test_image_refused_names_status_section_and_offset():
    error = ImageRefusedError("ES_ERR_CRC", "weights", 4096)
    assert str(error) == "image refused: ES_ERR_CRC in weights at byte 4096"


def test_missing_tool_names_the_command():
    error = MissingToolError("qemu", "apt-get install qemu")
    assert (error.tool, error.command) == ("qemu", "apt-get install qemu")
    assert str(error) == "qemu is missing; get it with: apt-get install qemu"
