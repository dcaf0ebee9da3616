"""Edits that meet others: merged field by field, and no line is ever lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.sync.merging import three_way
from tests.house import Client, House, behind_its_back
from tests.sync.editing import edit, history, new_photo, send
from tests.sync.following import Follower


async def patch(client: Client, photo: str, **fields: Any) -> Any:
    answer = await client.patch(f"/photos/{photo}/metadata", fields)
    assert answer.status == 200, answer
    return answer.json


async def test_fields_that_do_not_overlap_are_merged(home: House) -> None:
    photo = await new_photo(home)
    await patch(home.ben, photo, keywords=["lake"], favourite=True)
    [result] = await send(home.ana, edit(photo, 1, description="By ana", needs_line=False))
    assert (result["status"], result["kept"], result["photo"]["version"]) == ("merged", None, 3)
    metadata = result["photo"]["metadata"]
    assert (metadata["description"], metadata["keywords"], metadata["favourite"]) == ("By ana", ["lake"], True)
    assert metadata["needs_line"] is False


async def test_of_two_lines_the_first_stays_and_the_other_is_kept_in_the_history(home: House) -> None:
    photo = await new_photo(home, caption="From the file")
    theirs = await patch(home.ben, photo, description="By ben")
    follower = Follower(home.ben)
    await follower.catch_up()
    [result] = await send(home.ana, edit(photo, 1, description="By ana", favourite=True))
    assert (result["status"], result["kept"]) == ("conflict", {"version": 3, "description": "By ana"})
    now = result["photo"]
    assert (now["description"], now["version"], now["metadata"]["favourite"]) == ("By ben", 3, True)
    assert now["last_modified"] > theirs["last_modified"]
    assert await history(home.ana, photo) == [
        (3, "By ana", "conflict", False), (2, "By ben", "edit", True), (1, "From the file", "file", False),
    ]  # fmt: skip
    assert [change["data"] for change in await follower.catch_up()] == [now], "others are told"
    restored = (await home.ben.post(f"/photos/{photo}/history/3/restore")).json
    assert (restored["description"], restored["version"]) == ("By ana", 4)
    assert (await history(home.ana, photo))[:2] == [(4, "By ana", "restore", True), (3, "By ana", "conflict", False)]


async def test_a_line_that_lost_changes_nothing_else_of_the_photo(home: House) -> None:
    photo = await new_photo(home)
    before = await patch(home.ben, photo, description="By ben", keywords=["lake"])
    [result] = await send(home.ana, edit(photo, 1, description="By ana"))
    now = result["photo"]
    assert {**now, "version": 0, "last_modified": ""} == {**before, "version": 0, "last_modified": ""}
    assert await home.photos("q=ana") == []
    [change] = behind_its_back(home, "select data from changes order by seq desc limit 1")
    assert change == ('{"kept":[null,"By ana"]}',)


async def test_who_wrote_the_same_line_agrees(home: House) -> None:
    photo = await new_photo(home)
    await patch(home.ben, photo, description="The same")
    [result] = await send(home.ana, edit(photo, 1, description=" The same "))
    assert (result["status"], result["photo"]["version"]) == ("merged", 2)


async def test_a_line_that_came_back_to_what_it_was_gives_way(home: House) -> None:
    photo = await new_photo(home, caption="Base")
    await patch(home.ben, photo, description="By ben")
    await patch(home.ben, photo, description="Base")
    [result] = await send(home.ana, edit(photo, 1, description="By ana"))
    assert (result["status"], result["photo"]["description"]) == ("merged", "By ana")


async def test_a_line_that_was_not_changed_after_all_stays_what_the_other_made_it(home: House) -> None:
    photo = await new_photo(home, caption="Base")
    await patch(home.ben, photo, description="By ben")
    [result] = await send(home.ana, edit(photo, 1, description="Base"))
    assert (result["status"], result["photo"]["description"], result["photo"]["version"]) == ("merged", "By ben", 2)


async def test_keywords_are_merged_one_by_one(home: House) -> None:
    photo = await new_photo(home, keywords=["lake", "boat"])
    await patch(home.ben, photo, keywords=["boat", "lake", "ben"])
    [result] = await send(home.ana, edit(photo, 1, keywords=["ana", "boat", "ben"]))
    assert (result["status"], result["photo"]["metadata"]["keywords"]) == ("merged", ["boat", "ben", "ana"])


async def test_yes_and_no_cannot_disagree(home: House) -> None:
    photo = await new_photo(home)
    await patch(home.ben, photo, favourite=True)
    # Ana has changed her mind before she came home: for her it is as it was.
    [result] = await send(home.ana, edit(photo, 1, favourite=False))
    assert (result["status"], result["photo"]["metadata"]["favourite"]) == ("merged", True)
    await patch(home.ben, photo, favourite=False)
    [result] = await send(home.ana, edit(photo, 1, favourite=True))
    assert (result["status"], result["photo"]["metadata"]["favourite"]) == ("merged", True)


async def test_a_devices_later_edits_never_meet_its_earlier_ones(home: House) -> None:
    photo = await new_photo(home)
    sent = [edit(photo, 1, description=f"Line {number}", keywords=[f"{number}"]) for number in range(4)]
    results = await send(home.ana, *sent[:2]) + await send(home.ana, sent[2]) + await send(home.ana, sent[3])
    assert [result["status"] for result in results] == ["applied"] * 4
    assert results[-1]["photo"]["metadata"]["keywords"] == ["3"]
    assert [line for _, line, _, _ in await history(home.ana, photo)] == [f"Line {number}" for number in (3, 2, 1, 0)]


async def test_arrival_decides_and_no_clock(home: House) -> None:
    photo = await new_photo(home)
    late = {**edit(photo, 1, description="By ana"), "edited_at": "2031-01-01T00:00:00Z"}
    early = {**edit(photo, 1, description="By ben"), "edited_at": "1999-01-01T00:00:00Z"}
    [first] = await send(home.ana, late)
    [second] = await send(home.ben, early)
    assert (first["status"], second["status"]) == ("applied", "conflict")
    assert second["photo"]["description"] == "By ana"


async def test_a_devices_edits_upon_its_own_that_were_overwritten_meanwhile(home: House) -> None:
    photo = await new_photo(home, keywords=["base"])
    await send(home.ana, edit(photo, 1, description="Ana one", keywords=["base", "ana"]))
    await patch(home.ben, photo, description="By ben", keywords=["base", "ana", "ben"])
    # Ana's phone knows nothing of ben's; it takes her own for what there is.
    same, other, back = await send(
        home.ana, edit(photo, 1, description="Ana one"), edit(photo, 1, description="Ana two", keywords=["base"]),
        edit(photo, 1, description="Ana two"),
    )  # fmt: skip
    assert [one["status"] for one in (same, other, back)] == ["merged", "conflict", "merged"]
    assert other["photo"]["metadata"]["keywords"] == ["base", "ben"], "what she took back is gone, what he added is not"
    assert back["photo"] == other["photo"], "a line that is kept already is not kept twice"


async def test_two_devices_of_one_account_are_two(house: House) -> None:
    row = await house.db.row("accounts.owner")
    assert row is not None
    tablet = await house.sign_in(row["id"], "owner", "Ana's tablet")
    photo = await new_photo(house)
    await send(house.ana, edit(photo, 1, description="On the phone"))
    [result] = await send(tablet, edit(photo, 1, description="On the tablet"))
    assert result["status"] == "conflict"
    [line, _] = (await house.ana.get(f"/photos/{photo}/history")).json["items"]
    assert (line["device"], line["origin"]) == ("Ana's tablet", "conflict")


async def test_keys_may_be_shared_so_their_edits_are_anybodys(house: House) -> None:
    key = await house.key("write")
    photo = await new_photo(house)
    results = await send(key, edit(photo, 1, description="One"), edit(photo, 1, description="Two"))
    assert [result["status"] for result in results] == ["applied", "conflict"]
    [result] = await send(key, edit(photo, 3, description="Three"))
    assert (result["status"], result["photo"]["description"]) == ("applied", "Three")


@pytest.mark.parametrize("why", ["a version that is yet to come", "rows that were purged"])
async def test_where_nobody_knows_what_it_was_based_on_nothing_is_overwritten(home: House, why: str) -> None:
    photo = await new_photo(home)
    await patch(home.ben, photo, description="By ben", keywords=["ben"], favourite=True)
    base = 9
    if why == "rows that were purged":
        base = 1
        behind_its_back(home, "delete from changes where entity = 'photo'")
    sent = edit(photo, base, description="By ana", keywords=["ana"], favourite=False, needs_line=False)
    [result] = await send(home.ana, sent)
    assert (result["status"], result["kept"]["description"]) == ("conflict", "By ana")
    metadata = result["photo"]["metadata"]
    assert (metadata["description"], metadata["keywords"]) == ("By ben", ["ben", "ana"])
    assert (metadata["favourite"], metadata["needs_line"]) == (True, True)
    [result] = await send(home.ana, edit(photo, 99, description="By ben"))
    assert result["status"] == "merged"


async def test_a_file_that_was_changed_meanwhile_is_no_obstacle(home: House) -> None:
    photo = await new_photo(home)
    behind_its_back(home, "update photos set version = 2")
    behind_its_back(
        home,
        "insert into changes (at, entity, entity_id, action, version, data) values (1, 'photo', ?, 'update', 2, ?)",
        photo, '{"size":[1,2]}',
    )  # fmt: skip
    [result] = await send(home.ana, edit(photo, 1, description="By ana"))
    assert (result["status"], result["photo"]["description"]) == ("merged", "By ana")


words = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(words, words, words)
def test_a_three_way_merge_adds_what_either_added_and_lacks_what_either_removed(
    seen: list[str], ours: list[str], theirs: list[str]
) -> None:
    merged = three_way(seen, ours, theirs)
    assert len(merged) == len(set(merged))
    assert set(merged) == (set(theirs) - (set(seen) - set(ours))) | (set(ours) - set(seen))
    assert [word for word in merged if word in theirs] == [word for word in theirs if word in merged]
    assert three_way(seen, seen, theirs) == theirs
    assert three_way(seen, ours, theirs) == three_way(seen, ours, merged)
