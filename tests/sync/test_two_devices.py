"""Two phones that were away for long come home over bad Wi-Fi: both end with what the server has, no line is lost."""

import random
from typing import Any

import pytest

from tests.house import Client, House
from tests.photos.library import add_photos
from tests.sync.editing import edit, history, send
from tests.sync.following import Follower

EDITS = 500
WORDS = ["lake", "boat", "garden", "summer", "ben", "ana"]


class Phone:
    """A device: what it knows of the library, what it has not sent yet, and what it was answered."""

    def __init__(self, name: str, client: Client, chance: random.Random) -> None:
        self.name = name
        self.feed = Follower(client, limit=chance.choice([3, 10, 1000]))
        self._client = client
        self._chance = chance
        self._unsent: list[dict[str, Any]] = []
        self._made = 0
        # What the person sees: the phone's own edits upon what it was told.
        self._shown: dict[tuple[str, str], Any] = {}
        self.answers: dict[str, Any] = {}
        self.sent: dict[str, dict[str, Any]] = {}

    @property
    def done(self) -> bool:
        """Everything is written and sent."""
        return self._made == EDITS and not self._unsent

    async def step(self) -> None:
        """Write something, send something, or look what there is new."""
        what = self._chance.random()
        if what < 0.9 and self._made < EDITS:
            for _ in range(min(self._chance.randrange(1, 12), EDITS - self._made)):
                self._write()
        elif what < 0.98:
            await self._send()
        else:
            await self.feed.read()

    def _write(self) -> None:
        photo = self._chance.choice(list(self.feed.items.values()))
        names = self._chance.sample(
            ["description", "keywords", "favourite", "needs_line"], self._chance.randrange(1, 5)
        )
        fields: dict[str, Any] = {}
        if "description" in names:
            fields["description"] = f"{self.name}'s line {self._made}"
        if "keywords" in names:
            shown = set(self._shown.get((photo["id"], "keywords"), photo["metadata"]["keywords"]))
            fields["keywords"] = sorted(shown ^ {self._chance.choice(WORDS)})
        for name in ("favourite", "needs_line"):
            if name in names:
                fields[name] = self._chance.random() < 0.5
        self._shown |= {(photo["id"], name): value for name, value in fields.items()}
        self._unsent.append(edit(photo["id"], photo["version"], **fields))
        self._made += 1

    async def _send(self) -> None:
        """Some of them in any order, with some that were answered already; now and then the answer is lost."""
        batch = self._chance.sample(self._unsent, min(len(self._unsent), self._chance.randrange(1, 80)))
        batch += self._chance.sample(list(self.sent.values()), min(len(self.sent), self._chance.randrange(4)))
        self._chance.shuffle(batch)
        results = await send(self._client, *batch)
        for sent, result in zip(batch, results, strict=True):
            assert result["edit_id"] == sent["edit_id"]
            assert result["status"] in ("applied", "merged", "conflict")
            known = self.answers.setdefault(sent["edit_id"], result)
            assert known == result, "the first answer, word for word"
        if self._chance.random() < 0.7:
            self.sent |= {sent["edit_id"]: sent for sent in batch}
            self._unsent = [sent for sent in self._unsent if sent["edit_id"] not in self.sent]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_two_phones_come_home(home: House, seed: int) -> None:
    chance = random.Random(seed)
    ids = await add_photos(home, [{"key": f"{number}.jpg", "caption": f"Photo {number}"} for number in range(25)])
    phones = [Phone("ana", home.ana, chance), Phone("ben", home.ben, chance)]
    for phone in phones:
        await phone.feed.catch_up()
    while waiting := [phone for phone in phones if not phone.done]:
        await chance.choice(waiting).step()
    for phone in phones:
        await phone.feed.catch_up()
    assert phones[0].feed.items == phones[1].feed.items
    assert set(phones[0].feed.items) == set(ids)
    await phones[0].feed.check()

    told = {photo: await history(home.ana, photo) for photo in ids}
    for photo, lines in told.items():
        [current] = [line for _, line, _, current in lines if current]
        assert current == phones[0].feed.items[photo]["description"]
    conflicts = 0
    for phone in phones:
        assert len(phone.answers) == EDITS
        for edit_id, result in phone.answers.items():
            sent = phone.sent[edit_id]
            conflicts += result["status"] == "conflict"
            if "description" in sent:
                lines = told[sent["photo_id"]]
                origin = "conflict" if result["status"] == "conflict" else "edit"
                assert (sent["description"], origin) in [(line, origin) for _, line, origin, _ in lines]
    assert 0 < conflicts < 2 * EDITS
