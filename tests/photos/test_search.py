"""Search: what is typed finds what was written, in any script, and nothing that is typed is an error."""

import asyncio
import unicodedata

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tagline.db import Database
from tagline.photos import lines, lists, words
from tagline.photos.lines import Based, LineEdit
from tagline.photos.lists import ListQuery
from tagline.photos.memo import Memo
from tests.house import House
from tests.photos.library import ANA, add, add_photos, found, library, peek

FOUND = [
    # what was written, what is typed
    ("Ana at the lake", "lake"), ("Ana at the lake", "LAKE"), ("Ana at the lake", "lak"),
    ("Ana at the lake", "an la"),
    ("Ana at the lake", "lake ana"), ("Ana at the lake", '"the lake"'), ("Ana at the lake", '"at the" ana'),
    ("Ana at the lake", "“the lake”"), ("Ana at the lake", "«the lake»"), ("Ana at the lake", '"the lake'),
    ("Ana's lake-house", "ana"), ("Ana's lake-house", "lake-house"), ("Ana's lake-house", "Ana's"),
    ("O’Neill", "o'neill"), ("e-mail@home.example", "home.example"), ("IMG_0042", "0042"), ("IMG_0042", "img_00"),
    ("3½ km", "3½"), ("Nr. 7", "7"), ("ﬁne ﬂour", "fine"), ("Ｆｕｌｌ ｗｉｄｔｈ", "full width"), ("№ 5", "no"),
    # Latin
    ("Žluťoučký kůň", "zlutoucky kun"), ("Zlutoucky kun", "žluťoučký"), ("Łódź", "lodz"), ("Lodz", "łódź"),
    ("Tromsø", "tromso"),
    ("Đà Nẵng", "da nang"), ("Straße", "strasse"), ("STRASSE", "straße"), ("GROẞ", "gross"),
    ("Æbleskiver", "aebleskiver"),
    ("smörgåsbord", "smorgasbord"), ("İstanbul", "istanbul"), ("ISTANBUL", "ıstanbul"), ("Kırıkkale", "kirikkale"),
    ("Þingvellir", "thingvellir"), ("œuvre", "oeuvre"), ("naïve café", "CAFE"), ("cafe\u0301", "café"),
    ("café", "cafe\u0301"),
    ("Việt Nam phở bò", "viet nam pho"), ("Nguyễn", "nguyen"), ("Ħamrun", "hamrun"), ("S\u030cumava", "sumava"),
    # Greek and Cyrillic
    ("Αθήνα", "αθηνα"), ("ΑΘΗΝΑ", "αθήνα"), ("Οδυσσεύς", "ΟΔΥΣΣΕΥΣ"), ("ᾳ ᾴ Ἀρχιμήδης", "αρχιμηδης"),
    ("йод ёлка", "елка"),
    ("елка", "ёлка"), ("Чайковский", "чаиковскии"), ("Київ", "киів"), ("МОСКВА", "москва"), ("Đорђе Ђорђе", "ђорђе"),
    # Semitic and Indic scripts, Thai, Georgian, Armenian
    ("مُحَمَّد", "محمد"), ("محمد", "مُحَمَّد"), ("أحمد", "احمد"), ("شָלוֹם שָׁלוֹם", "שלום"),
    ("नमस्ते दुनिया", "नमस्ते"), ("नमस्ते", "नम"),
    ("ज़रा", "ज़रा"), ("சென்னை", "சென்"), ("สวัสดีครับ", "สวัสดี"), ("กรุงเทพ", "กรุงเทพ"),
    ("თბილისი", "ᲗᲑᲘᲚᲘᲡᲘ"), ("Երևան", "երևան"),
    ("አዲስ አበባ", "አዲስ"), ("မြန်မာ", "မြန်"), ("ខ្មែរ", "ខ្មែរ"), ("𞤀𞤣𞤤𞤢𞤥", "𞤢𞤣"), ("ᏣᎳᎩ", "ᏣᎳ"),
    # Chinese, Japanese, Korean
    ("东京旅行的照片", "旅行"), ("东京旅行的照片", "照"), ("东京旅行的照片", "东京 照片"),
    ("東京タワー", "タワー"), ("東京タワー", "ﾀﾜｰ"),
    ("ひらがなの文", "がな"), ("㍿ 丸", "株式会社"), ("서울 여행", "서울"), ("서울 여행", "여"),
    ("서울", unicodedata.normalize("NFD", "서울")),
    ("𠮷野家", "野家"), ("𠮷野家", "𠮷"), ("mixed東京text", "東京"), ("mixed東京text", "text"),
    ("mixed東京text", "mixed"),
    # Emoji, of Unicode 6 and of later versions, in families, with skin and without
    ("Party 🎉🎉", "🎉"), ("🥳 birthday", "🥳"), ("🫠 hot", "🫠"), ("🪿 goose", "🪿"), ("🫩 tired", "🫩"),
    ("👍🏽", "👍"), ("❤️", "❤"),
    ("❤", "❤️"), ("👩‍👩‍👧", "👧"), ("🏳️‍🌈", "🌈"), ("🇳🇴 fjord", "🇳🇴"), ("sun☀️sea", "sea"), ("🎉boat", "boat"),
]  # fmt: skip
NOT_FOUND = [
    ("Ana at the lake", "ake"), ("Ana at the lake", '"lake the"'), ("Ana at the lake", '"the lak"'),
    ("Ana at the lake", "lake boat"),
    ("Ana at the lake", "lakes"), ("か", "が"), ("东京", "京东"), ("🎉", "🥳"), ("👧", "👦"), ("lake", "🎉"),
    ("lake", "lake 🎉"),
    ("Ana", "…"), ("Ana", "!!!"), ("Ana", '""'), ("Ana", "*"), ("Ana", "-"), ("Ana", "'"), ("Ana", "\u0301"),
    ("Ana", "\u200b\ufe0f"),
]  # fmt: skip
SYNTAX = [
    "AND", "OR", "NOT", "NEAR", "a AND", "AND b", "NOT a", "a NEAR/3 b", "NEAR(a b, 2)", "words:a", "{words}:a", "^a",
    "a*", "*a", "a + b", "(a", "a)", '"', '"""', 'a"b', "'", "--", ";", "a^2", "-a", "a -b", "\\", "%", "_", "a:b",
    "\x00", "a\x00b", "rank", "search", "' or 1=1 --", "(" * 500, '"' * 501, "a " * 500, "字" * 800, "🎉" * 600,
    "\ufffd", "\u0345", "ǅ ß İ ŉ",
]  # fmt: skip


async def finds(db: Database, typed: str) -> list[str]:
    """The ids that a search gives; its total has to agree."""
    query = ListQuery(q=typed, limit=500)
    page = msgspec.json.decode(await lists.page(db, Memo(), query))
    assert page["total"] == len(page["photo_ids"])
    return list(page["photo_ids"])


@pytest.fixture(scope="module")
def verdicts() -> dict[tuple[str, str], bool]:
    """Whether each line is found by what is typed; asked in one library with only that line, one after the other."""

    async def ask() -> dict[tuple[str, str], bool]:
        answers = {}
        async with library() as db:
            [photo_id] = await add(db, [found("-.jpg")])
            for line, typed in FOUND + NOT_FOUND:
                await db.write(lines.edit, ANA, photo_id, LineEdit(description=line), Based())
                answers[line, typed] = await finds(db, typed) == [photo_id]
        return answers

    return asyncio.run(ask())


@pytest.mark.parametrize(("line", "typed"), FOUND)
def test_a_line_is_found(verdicts: dict[tuple[str, str], bool], line: str, typed: str) -> None:
    assert verdicts[line, typed]


@pytest.mark.parametrize(("line", "typed"), NOT_FOUND)
def test_a_line_is_not_found_by_something_else(verdicts: dict[tuple[str, str], bool], line: str, typed: str) -> None:
    assert not verdicts[line, typed]


async def test_file_names_folders_places_and_keywords_are_searched_as_well(house: House) -> None:
    ids = await add_photos(
        house,
        [
            {"key": "2024/Ferien in Tirol/IMG_0042.jpg"}, {"key": "a.jpg", "place": "Reykjavík"},
            {"key": "b.jpg", "keywords": ["Öresund bridge"]},
        ],
    )  # fmt: skip
    for typed, wanted in (
        ("tirol", 0),
        ("ferien 0042", 0),
        ("img_0042.jpg", 0),
        ("reykjavik", 1),
        ("oresund", 2),
        ("bridge b.jpg", 2),
    ):
        assert [photo["id"] for photo in await house.photos(f"q={typed}")] == [ids[wanted]], typed
    assert len(await house.photos("q=jpg")) == 3


async def test_what_is_found_comes_newest_first_and_in_pages(house: House) -> None:
    ids = await add_photos(
        house,
        [
            {
                "key": f"{number}.jpg",
                "caption": "lake " * (number % 5 + 1),
                "taken": f"2024-07-{number + 1:02}T10:00:00",
            }
            for number in range(20)
        ],
    )
    assert [photo["id"] for photo in await house.photos("q=lake")] == ids[::-1]
    first = (await house.ana.get("/photos?q=lake&limit=7")).json
    rest = (await house.ana.get(f"/photos?q=lake&limit=20&cursor={first['next_cursor']}")).json
    assert first["photo_ids"] + rest["photo_ids"] == ids[::-1]
    assert (await house.ana.get("/photos?q=lake&limit=3&offset=18")).json["photo_ids"] == ids[1::-1]


async def test_an_edit_is_found_at_once_and_the_old_words_no_longer(house: House) -> None:
    [photo] = await add_photos(house, [{"key": "a.jpg", "caption": "The river", "keywords": ["water"]}])

    async def found_by(typed: str) -> bool:
        return [item["id"] for item in await house.photos(f"q={typed}")] == [photo]

    await house.ana.patch(f"/photos/{photo}/metadata", {"description": "The lake", "keywords": ["sea"]})
    assert [await found_by(typed) for typed in ("lake", "sea", "river", "water", "a.jpg")] == [
        True,
        True,
        False,
        False,
        True,
    ]
    await house.ana.patch(f"/photos/{photo}/metadata", {"taken_at": "2001-01-01T00:00:00Z"})
    assert await found_by("lake sea")
    await house.ana.delete(f"/photos/{photo}")
    assert not await found_by("lake")
    await house.ana.post(f"/photos/{photo}/restore")
    assert await found_by("lake")


async def test_no_syntax_is_an_error(house: House) -> None:
    await add_photos(house, [{"key": "a.jpg", "caption": "a b words rank"}])
    for typed in SYNTAX:
        for sort in ("-taken_at", "name"):
            answer = await house.ana.get("/photos", params={"q": typed, "sort": sort})
            assert answer.status == 200, (typed, answer)
        assert (await house.ana.get("/photos/timeline", params={"q": typed})).status == 200


async def test_bytes_that_are_no_text_are_no_error(house: House) -> None:
    for raw in ("%ff", "%ed%a0%80", "%00", "%", "%e4%b", "a%20%ff"):
        assert (await house.ana.get(f"/photos?q={raw}")).status == 200, raw


async def test_more_words_than_anybody_types_are_cut(house: House) -> None:
    await add_photos(house, [{"key": "a.jpg", "caption": " ".join(f"w{number}" for number in range(100))}])
    assert len(await house.photos("q=" + "+".join(f"w{number}" for number in range(100)))) == 1


text = st.text(max_size=60) | st.text("aé ß東🎉'\"-*()", max_size=40)


@given(text)
@example("ŉ ǰ ΐ ﷺ ℵ ½ ㍿ İ ı ẞ")
@example("a\u0345\u0301\u0f71")
@example("\u0958\u0f43\ufb1d")
def test_folding_is_idempotent_and_plain(line: str) -> None:
    folded = words.fold(line)
    assert words.fold(folded) == folded
    assert folded == " ".join(folded.split())
    assert words.fold(unicodedata.normalize("NFD", line)) == folded


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_ascii_is_folded_as_any_other_text(line: str) -> None:
    assert words._fold_ascii(line) == words._fold_any(line)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(text, min_size=1, max_size=12))
def test_every_word_of_a_line_finds_it(written: list[str]) -> None:
    async def check() -> None:
        async with library() as db:
            ids = await add(db, [found(f"{number}.jpg") for number in range(len(written))])
            for photo_id, line in zip(ids, written, strict=True):
                clean = line.replace("\x00", "")
                await db.write(lines.edit, ANA, photo_id, LineEdit(description=clean), Based())
                for word in clean.split():
                    bare = word.strip('"“”„«»＂')
                    if words.fold(bare) and not any(quote in bare for quote in '"“”„«»＂'):
                        assert photo_id in await finds(db, bare), (line, bare)
                        for part in words.fold(bare).split():
                            assert photo_id in await finds(db, f'"{part}"'), (line, part)
            assert peek(db, "select count(*) from photos") == [(len(ids),)]

    asyncio.run(check())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=100) | st.sampled_from(SYNTAX), min_size=1, max_size=20))
def test_any_text_can_be_searched_for(typed: list[str]) -> None:
    async def check() -> None:
        async with library() as db:
            await add(db, [found("a.jpg", caption="a b c", keywords=["d"])])
            for one in typed:
                await finds(db, one)

    asyncio.run(check())
