"""What became of every record that a device had for the host."""

from __future__ import annotations

from edgesparse.telemetry.record import Event, LostFrames, Record, UnreadableRecord

__all__ = ["Tally"]


class Tally:
    """Counts records from the device's first answer to our PING on.  It depends on events alone.

    A record arrives, is lost on the line, which shows as a gap in the numbers of the frames, or was
    never sent, which the device counts itself: ``sent = received + unsent + lost``.

    Args:
        nonce: of our PINGs.

    Attributes:
        received: records that arrived.
        lost: records that were lost on the line.
        unsent: records that the device left out, for the rate or want of room, as far as it has
            told.
    """

    def __init__(self, nonce: int) -> None:
        self.received = 0
        self.lost = 0
        self.unsent = 0
        self._nonce = nonce & 0xFFFF
        self._boot_id: int | None = None
        self._last_unsent: int | None = None

    @property
    def sent(self) -> int:
        """Records that the device had to send."""
        return self.received + self.unsent + self.lost

    def push(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, LostFrames) and self._boot_id is not None:
            self.lost += event.count
        elif isinstance(event, Record | UnreadableRecord):
            self._take(event)

    def _take(self, record: Record | UnreadableRecord) -> None:
        if self._boot_id is None and record.boot_id >> 16 != self._nonce:
            return
        if self._boot_id is not None and (self._boot_id ^ record.boot_id) & 0xFFFF:
            self._last_unsent = 0  # a device that started anew counts anew
        self._boot_id = record.boot_id
        self.received += 1
        unsent = record.fields.get("unsent") if isinstance(record, Record) else None
        if unsent is not None:
            before = unsent if self._last_unsent is None else self._last_unsent
            self.unsent += (unsent - before) % 2**32
            self._last_unsent = unsent

    def document(self) -> dict[str, int]:
        """The counts, for JSON."""
        return {
            "sent": self.sent,
            "received": self.received,
            "unsent": self.unsent,
            "lost": self.lost,
        }
