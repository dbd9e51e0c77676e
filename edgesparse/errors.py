"""Every error that edgesparse raises on purpose, sorted by what its reader has to do next.

::

    EdgesparseError            1  a bug in edgesparse, or a child below
    ├── UsageError             2  correct the command or the argument
    ├── ModelError             3  give another model: this one cannot be read
    │   └── UnsupportedModelError   the model is sound, edgesparse has no kernel for parts of it
    ├── FormatError            4  make the file again: .esm, .npz or capture is malformed
    │   └── ImageRefusedError       the loader refused a model image
    ├── TargetError            5  install, connect or choose another target
    │   ├── MissingToolError        a program or package is not installed
    │   └── DoesNotFitError         the model needs more memory than the target has
    ├── DeviceError            6  look at the device: it answers wrongly or not at all
    │   ├── LinkTimeoutError        nothing arrived in time
    │   └── DeviceFaultError        the firmware reported a fault
    ├── VerificationError      7  the results are not those of the reference
    ├── RegressionError        8  the results are right but worse than the recorded ones
    └── StoppedError         130  the user interrupted the command

The number is the exit code of the command line.  Code branches on classes and fields, never on
the text, which is always a single line made from the fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DeviceError",
    "DeviceFaultError",
    "DoesNotFitError",
    "EdgesparseError",
    "FormatError",
    "ImageRefusedError",
    "LinkTimeoutError",
    "MissingToolError",
    "ModelError",
    "RegressionError",
    "StoppedError",
    "TargetError",
    "UnsupportedModelError",
    "UsageError",
    "VerificationError",
]


class EdgesparseError(Exception):
    """Root of the tree.

    Args:
        message: what is wrong, in one line; line breaks become blanks.
        hint: what would mend it, in one line, or None where there is nothing sure to say.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = " ".join(message.splitlines())
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the fields when the error crosses a process boundary or is copied."""
        return _restore, (type(self), self.args, self.__dict__.copy())


def _restore(
    cls: type[EdgesparseError], args: tuple[object, ...], fields: dict[str, object]
) -> EdgesparseError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(fields)
    return error


class UsageError(EdgesparseError):
    """The command or an argument is wrong."""

    exit_code = 2


class ModelError(EdgesparseError):
    """The bytes are not a .tflite model that can be read, or not one that can be changed so."""

    exit_code = 3


class UnsupportedModelError(ModelError):
    """The model is well formed, but parts of it have no kernel here.

    Args:
        offenders: every part that is in the way as (operator, tensor name, reason).
    """

    def __init__(
        self, offenders: Sequence[tuple[str, str, str]], *, hint: str | None = None
    ) -> None:
        self.offenders: tuple[tuple[str, str, str], ...] = tuple(offenders)
        alike: dict[tuple[str, str], list[str]] = {}
        for operator, tensor, reason in self.offenders:
            alike.setdefault((operator, reason), []).append(f"'{tensor}'")
        listed = "; ".join(
            f"{operator} {', '.join(tensors)}: {reason}"
            for (operator, reason), tensors in alike.items()
        )
        count = len(self.offenders)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"model not supported, {count} {noun}: {listed}", hint=hint)


class FormatError(EdgesparseError):
    """A file of ours (.esm, .npz, capture) is malformed."""

    exit_code = 4


class ImageRefusedError(FormatError):
    """The loader refused a model image.

    Args:
        status: name of the status code, as in the table of status codes.
        section: name of the section in which the fault lies.
        offset: byte offset of the fault, from the start of the image.
    """

    def __init__(self, status: str, section: str, offset: int, *, hint: str | None = None) -> None:
        self.status = status
        self.section = section
        self.offset = offset
        super().__init__(f"image refused: {status} in {section} at byte {offset}", hint=hint)


class TargetError(EdgesparseError):
    """The target cannot be used: something is missing, or it cannot take the model."""

    exit_code = 5


class MissingToolError(TargetError):
    """A program or package is not installed.

    Args:
        tool: its name.
        command: the command that installs it.
    """

    def __init__(self, tool: str, command: str, *, hint: str | None = None) -> None:
        self.tool = tool
        self.command = command
        super().__init__(f"{tool} is missing; get it with: {command}", hint=hint)


class DoesNotFitError(TargetError):
    """Something needs more memory than the target has.

    Args:
        what: what does not fit, and where ("model image in flash").
        needed_bytes: what it takes.
        available_bytes: what there is.
    """

    def __init__(
        self, what: str, needed_bytes: int, available_bytes: int, *, hint: str | None = None
    ) -> None:
        self.what = what
        self.needed_bytes = needed_bytes
        self.available_bytes = available_bytes
        super().__init__(
            f"{what} does not fit: {needed_bytes} bytes needed, {available_bytes} available,"
            f" {self.missing} missing",
            hint=hint,
        )

    @property
    def missing(self) -> int:
        """Bytes that are lacking."""
        return self.needed_bytes - self.available_bytes


class DeviceError(EdgesparseError):
    """The device answers wrongly or not at all."""

    exit_code = 6


class LinkTimeoutError(DeviceError):
    """Nothing arrived from the device in time."""


class DeviceFaultError(DeviceError):
    """The firmware reported a fault."""


class VerificationError(EdgesparseError):
    """The results differ from those of the reference."""

    exit_code = 7


class RegressionError(EdgesparseError):
    """The results are right but worse than the recorded ones."""

    exit_code = 8


class StoppedError(EdgesparseError):
    """The user interrupted the command."""

    exit_code = 130

    def __init__(self, message: str = "interrupted", *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
