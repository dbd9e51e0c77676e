"""The memory planner: no overlap among living buffers, alignment, and a tight result."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgesparse.plan import ALIGN_BYTES, Buffer, live_bytes, plan


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(-1, 12), st.integers(0, 6)), max_size=20)
)
def test_living_buffers_never_overlap(shapes: list[tuple[int, int, int]]) -> None:
    buffers = [Buffer(str(i), size, at, at + length) for i, (size, at, length) in enumerate(shapes)]
    result = plan(buffers)
    for i, a in enumerate(buffers):
        start = result.offsets[a.name]
        assert start % ALIGN_BYTES == 0
        assert start + a.bytes <= result.arena_bytes
        for b in buffers[i + 1 :]:
            if a.first <= b.last and b.first <= a.last and a.bytes and b.bytes:
                other = result.offsets[b.name]
                assert start + a.bytes <= other or other + b.bytes <= start


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    buffers = [Buffer("a", 64, -1, 0), Buffer("b", 640, 0, 1), Buffer("c", 320, 1, 2)]
    assert plan(buffers).arena_bytes == 640 + 320


def test_best_fit_takes_the_tightest_gap() -> None:
    """Gaps of 144 and 112 bytes among living buffers: 100 bytes go into the second."""
    buffers = [
        Buffer("low", 160, 0, 9),
        Buffer("short", 144, 0, 1),
        Buffer("middle", 128, 0, 9),
        Buffer("short too", 112, 0, 1),
        Buffer("top", 104, 0, 9),
        Buffer("late", 100, 2, 3),
    ]
    result = plan(buffers)
    assert result.offsets["late"] == result.offsets["short too"]


def test_nothing_needs_nothing() -> None:
    assert plan([]).arena_bytes == 0


def test_an_order_by_size_alone_is_not_the_last_word() -> None:
    """Largest first gives 160 bytes: e above a, and then neither c nor d below it with b."""
    buffers = [
        Buffer("a", 64, 0, 0),
        Buffer("b", 64, 3, 5),
        Buffer("c", 48, 1, 3),
        Buffer("d", 16, 2, 3),
        Buffer("e", 32, 0, 2),
    ]
    assert plan(buffers).arena_bytes == max(live_bytes(buffers, at) for at in range(6)) == 128
