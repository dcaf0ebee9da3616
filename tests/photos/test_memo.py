"""What was counted is kept until a photo changes, and never longer."""

from tagline.changes import Change
from tagline.photos.memo import MOST, Memo

PHOTO = Change(1, "photo", "x", "update", 2)


async def test_a_count_is_made_once_for_each_state_of_the_library() -> None:
    memo, counted = Memo(), 0

    async def count() -> int:
        nonlocal counted
        counted += 1
        return counted

    assert [await memo.get("a", count), await memo.get("a", count), await memo.get("b", count)] == [1, 1, 2]
    memo.forget([Change(1, "session", "x", "create", 1)])
    assert await memo.get("a", count) == 1
    memo.forget([PHOTO])
    assert await memo.get("a", count) == 3


async def test_a_count_during_which_a_photo_changed_is_given_but_not_kept() -> None:
    memo = Memo()

    async def overtaken() -> str:
        memo.forget([PHOTO])
        return "old"

    async def count() -> str:
        return "new"

    assert await memo.get("a", overtaken) == "old"
    assert await memo.get("a", count) == "new"


async def test_no_more_than_a_bounded_number_is_kept() -> None:
    memo = Memo()

    async def count() -> object:
        return object()

    first = await memo.get(0, count)
    for key in range(1, MOST):
        await memo.get(key, count)
    assert await memo.get(0, count) is first
    await memo.get(MOST, count)
    assert await memo.get(0, count) is not first
