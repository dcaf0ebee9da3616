"""Byte ranges: RFC 9110 §14, and an oracle that knows nothing but sets of positions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline import errors
from tagline.ranges import MOST_GIVEN, MOST_SENT, Range, parse_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-99", [(0, 100)]),
        ("bytes=0-1000", [(0, 100)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("BYTES=1-2", [(1, 3)]),
        ("bytes= 1-2 ,\t5-6", [(1, 3), (5, 7)]),
        ("bytes=,1-2,,", [(1, 3)]),
        ("bytes=50-60,0-9", [(50, 61), (0, 10)]),
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=5-14,0-9", [(0, 15)]),
        ("bytes=0-9,200-300", [(0, 10)]),
        ("bytes=000001-0000000000000000000002", [(1, 3)]),
        ("bytes=10-99999999999999999999999999", [(10, 100)]),
    ],
)
def test_satisfiable_ranges_are_found(header: str, wanted: list[tuple[int, int]]) -> None:
    assert parse_range(header, 100) == wanted


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=2-1",
        "bytes=1-2-3",
        "bytes=1 -2",
        "items=0-1",
        "bytes=+1-2",
        "bytes=0-1;2-3",
        "bytes=0-1, bytes=3-4",
        "bytes=²-3",
        "bytes=--1",
    ],
)
def test_what_is_no_range_header_is_ignored(header: str | None) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200,300-", "bytes=-0", "bytes=" + "9" * 6000 + "-"])
def test_a_range_behind_the_end_is_refused_with_the_size(header: str) -> None:
    with pytest.raises(errors.RangeNotSatisfiable) as refused:
        parse_range(header, 100)
    assert refused.value.headers["Content-Range"] == "bytes */100"


def test_the_last_bytes_of_an_empty_file_are_the_whole_of_it() -> None:
    assert parse_range("bytes=-5", 0) is None
    with pytest.raises(errors.RangeNotSatisfiable):
        parse_range("bytes=0-", 0)


def test_too_much_is_answered_with_the_whole_file() -> None:
    apart = [f"{2 * n}-{2 * n}" for n in range(MOST_GIVEN + 1)]
    assert parse_range("bytes=" + ",".join(apart[:MOST_SENT]), 1000) is not None
    assert parse_range("bytes=" + ",".join(apart[: MOST_SENT + 1]), 1000) is None
    assert parse_range("bytes=" + ",".join(["0-0"] * (MOST_GIVEN + 1)), 1000) is None
    assert parse_range("bytes=0-9,5-,7-,8-", 1000) is None


Spec = tuple[int | None, int | None]
specs = st.one_of(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair))),
    st.tuples(st.integers(0, 60), st.none()),
    st.tuples(st.none(), st.integers(0, 60)),
)


def positions(spec: Spec, size: int) -> set[int]:
    first, last = spec
    if first is None:
        return set(range(size)[-last:]) if last else set()
    return set(range(first, size if last is None else last + 1)) & set(range(size))


@given(st.lists(specs, min_size=1, max_size=5), st.integers(1, 50))
def test_ranges_cover_exactly_what_was_asked_for_without_repeating_a_byte(given: list[Spec], size: int) -> None:
    header = "bytes=" + ",".join(
        f"{'' if first is None else first}-{'' if last is None else last}" for first, last in given
    )
    wanted = set().union(*(positions(spec, size) for spec in given))
    if not wanted:
        with pytest.raises(errors.RangeNotSatisfiable):
            parse_range(header, size)
        return
    found = parse_range(header, size)
    if found is None:
        assert len(given) > 3
        return
    sent = [position for start, stop in found for position in range(start, stop)]
    assert len(sent) == len(set(sent))
    assert set(sent) == wanted
    assert all(a.stop < b.start or b.stop < a.start for a in found for b in found if a != b)


@given(st.text(alphabet="bytes=0123456789-, \t*²", max_size=40), st.integers(0, 100))
def test_no_header_breaks_the_parser(header: str, size: int) -> None:
    try:
        found = parse_range(header, size)
    except errors.RangeNotSatisfiable:
        return
    assert found is None or all(0 <= start < stop <= size for start, stop in found)


def test_content_range_counts_from_zero_and_includes_the_last_byte() -> None:
    assert Range(0, 10).content_range(100) == "bytes 0-9/100"
    assert Range(0, 10).length == 10
