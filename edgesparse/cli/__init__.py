"""The command line: one thin sub-command a stage, a file each, no logic.

stdout is data, everything else goes to stderr.  Exit codes are those of edgesparse.errors.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from edgesparse import __version__
from edgesparse.cli.analyze import analyze
from edgesparse.cli.bench import bench
from edgesparse.cli.boards import boards
from edgesparse.cli.compare import compare
from edgesparse.cli.convert import convert
from edgesparse.cli.deploy import deploy
from edgesparse.cli.doctor import doctor
from edgesparse.cli.export import export
from edgesparse.cli.firmware import firmware
from edgesparse.cli.monitor import monitor
from edgesparse.cli.replay import replay
from edgesparse.cli.report import report
from edgesparse.cli.sparsify import sparsify
from edgesparse.cli.sweep import sweep
from edgesparse.cli.tune import tune
from edgesparse.cli.validate import validate
from edgesparse.errors import EdgesparseError, StoppedError, UsageError

__all__ = ["COMMANDS", "main"]

# In the order of the help.
COMMANDS: dict[str, Callable[..., None]] = {
    "deploy": deploy,
    "sparsify": sparsify,
    "convert": convert,
    "analyze": analyze,
    "validate": validate,
    "monitor": monitor,
    "replay": replay,
    "export": export,
    "report": report,
    "compare": compare,
    "firmware": firmware,
    "bench": bench,
    "sweep": sweep,
    "tune": tune,
    "boards": boards,
    "doctor": doctor,
}

_EPILOG = (
    "Exit codes: 0 ok, 1 bug, 2 usage, 3 model, 4 format, 5 target, 6 device, 7 verification,"
    " 8 regression, 130 interrupted."
)

_app = typer.Typer(
    name="edgesparse",
    help="Sparse int8 networks on Cortex-M: convert, deploy, and see where the zeros are.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _command in COMMANDS.items():
    _app.command(_name)(_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgesparse {__version__}")
        raise typer.Exit


@_app.callback(epilog=_EPILOG)
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    del version


def _fail(error: EdgesparseError) -> int:
    sys.stderr.write(f"edgesparse: {error}\n")
    if error.hint:
        sys.stderr.write(f"  hint: {error.hint}\n")
    return error.exit_code


def _forget_stdout() -> None:
    """Let what stdout still holds go nowhere, so that Python's own end does not fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.  Never raises for a foreseen error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result: Any = _app(args=given or ["--help"], prog_name="edgesparse", standalone_mode=False)
        if sys.stdout is not None:  # as it is behind >&-
            sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except EdgesparseError as error:
        return _fail(error)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(StoppedError())
    except TyperException as error:
        return _fail(UsageError(error.format_message(), hint="see 'edgesparse --help'"))
    except (BrokenPipeError, SystemExit):  # typer and rich exit where nobody reads stdout on
        _forget_stdout()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _forget_stdout()
        return _fail(UsageError("cannot write: the disk is full"))
