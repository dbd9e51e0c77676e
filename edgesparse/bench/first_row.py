"""The first input row on a running device, for costs that one run tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from edgesparse.deploy.open import Capacity, batch_rows
from edgesparse.deploy.session import FLAG_RESET_STATE, Session
from edgesparse.image import Image
from edgesparse.inputs import Inputs, batch_bytes, row_bytes, rows_for
from edgesparse.telemetry.runs import RunResult


@dataclass(frozen=True, slots=True)
class FirstRow:
    """A row, int8 [1, elements] for each model input, and whether the board has memory for it."""

    rows: tuple[NDArray[np.int8], ...]
    in_batch: bool

    @classmethod
    def of(cls, image: Image, capacity: Capacity, inputs: Inputs | None) -> Self:
        """The first row of the inputs, or a made-up one.  Raises what rows_for raises."""
        return cls(rows_for(image.meta.inputs, inputs, [0]), batch_rows(image, capacity) > 0)

    @property
    def batch(self) -> bytes:
        """What goes into the board's batch memory."""
        return batch_bytes(self.rows) if self.in_batch else b""

    def run(self, session: Session, *, flags: int = 0) -> RunResult:
        """Run it from reset state.  Raises what Session.run raises."""
        flags |= FLAG_RESET_STATE
        if not self.in_batch:
            return session.run_from_link(row_bytes(self.rows, 0), flags=flags)
        (result,) = session.run(0, 1, flags=flags)
        return result
