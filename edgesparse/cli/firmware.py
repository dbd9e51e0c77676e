"""edgesparse firmware."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgesparse.cli.options import BoardOption, JsonOption
from edgesparse.cli.output import print_json


def firmware(
    board: BoardOption = "qemu",
    only_ops: Annotated[
        Path | None,
        typer.Option(
            "--only-ops",
            metavar="MODEL",
            help="Only the operators and kernels of this .tflite or .esm; needs the Arm compiler.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT.elf", help="Where to. Default: <board>.elf, here."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the firmware of a board into a file, whole or cut down to what one model needs."""
    from edgesparse.deploy.export import export_firmware

    notes = Console(stderr=True, highlight=False)
    document = export_firmware(board, output, only_ops=only_ops, progress=notes.print)
    if as_json:
        print_json(document)
    else:
        size, kernels = document["flash_bytes"], ", ".join(document["kernels"])
        typer.echo(f"wrote {document['output']}: {size:,} bytes of flash; kernels {kernels}")
