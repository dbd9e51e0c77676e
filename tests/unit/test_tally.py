"""What became of a device's records: received, lost on the line, never sent; and whole windows."""

from __future__ import annotations

import pytest

from edgesparse.telemetry.record import Receiver
from edgesparse.telemetry.runs import BrokenRun, RunCollector, WindowResult
from edgesparse.telemetry.tally import Tally
from tests.scripted import BOOT_ID, NONCE, device_frame


def tally_of(*frames: bytes) -> dict[str, int]:
    tally = Tally(NONCE)
    for event in Receiver().feed(b"".join(frames)):
        tally.push(event)
    return tally.document()


def memory(sequence: int, unsent: int, boot_id: int = BOOT_ID) -> bytes:
    return device_frame("memory", sequence, unsent=unsent, boot_id=boot_id)


def test_a_gap_is_lost_and_the_device_counts_the_unsent() -> None:
    log = device_frame("log", 14)
    assert tally_of(memory(10, 5), log, memory(17, 9)) == {
        "sent": 3 + 5 + 4,
        "received": 3,
        "unsent": 4,  # those before our PING are not ours
        "lost": 3 + 2,
    }


def test_what_came_before_our_ping_does_not_count() -> None:
    before = device_frame("log", 3, boot_id=BOOT_ID & 0xFFFF), device_frame("log", 9, boot_id=1)
    assert tally_of(*before, memory(10, 0))["sent"] == 1


def test_a_restart_counts_from_0() -> None:
    again = BOOT_ID + 1
    frames = memory(5, 7), memory(6, 8), device_frame("log", 0, boot_id=again), memory(1, 2, again)
    assert tally_of(*frames) == {"sent": 7, "received": 4, "unsent": 3, "lost": 0}


def window_frames(run: int, sequence: int, nodes: int = 2, **end: int) -> list[bytes]:
    fields = {"run": run, "runs": 4}
    frames = [
        device_frame("layer_window", sequence + i, node=i, macs_done_sum=10, count_sum=5, **fields)
        for i in range(nodes)
    ]
    bins = tuple(range(16))
    frames.append(
        device_frame("histogram", sequence + nodes, node=1, tensor=7, bins=bins, **fields)
    )
    last = fields | {"node_count": nodes, "macs_done_sum": 10 * nodes, "count_sum": 5 * nodes} | end
    return [*frames, device_frame("run_window", sequence + nodes + 1, **last)]


def collected(*frames: bytes) -> list[object]:
    collector = RunCollector(NONCE)
    ended = map(collector.push, Receiver().feed(b"".join(frames)))
    return [run for run in ended if run is not None]


def test_a_good_window() -> None:
    (window,) = collected(*window_frames(8, 0))
    assert isinstance(window, WindowResult)
    assert (window.run, window.runs, len(window.layers)) == (8, 4, 2)
    assert window.histograms == {(1, 7): tuple(range(16))}


@pytest.mark.parametrize("missing", range(4))
def test_a_window_with_a_lost_frame_is_not_whole(missing: int) -> None:
    frames = window_frames(0, 10)
    del frames[missing]
    ended = collected(device_frame("log", 9), *frames, *window_frames(4, 14))
    whole = [each for each in ended if isinstance(each, WindowResult)]
    assert [window.run for window in whole] == [4]
    assert [type(each) for each in ended if each not in whole] == [BrokenRun] * (missing < 3)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ({"node_count": 3}, "2 LAYER_WINDOW records of 3"),
        ({"runs": 5}, "more than one window"),
        ({"macs_done_sum": 19}, "do not add up"),
        ({"count_sum": 9}, "count more than the whole window"),
    ],
)
def test_a_window_that_contradicts_itself_is_broken(end: dict[str, int], reason: str) -> None:
    (broken,) = collected(*window_frames(0, 0, **end))
    assert isinstance(broken, BrokenRun)
    assert reason in broken.reason
