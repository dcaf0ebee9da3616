"""Words: how texts are folded for the search index, and how what people type becomes a query of it.

Case and accents do not count in any script; Chinese and Japanese characters, which no spaces part, are words of
their own, and so are emoji. What is indexed and what is searched pass through the same `fold`.
"""

import re
import unicodedata
from functools import lru_cache

# Letters that differ from their plain form by more than a mark that could be taken off.
_PLAIN = str.maketrans(
    {
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ħ": "h",
        "ı": "i",
        "ŧ": "t",
        "ŋ": "n",
        "ĸ": "k",
    }
)

# Combining classes of marks that make another letter, and no accent: nukta, kana voicing, virama (Unicode 16, §4.3).
_LETTER_MARKS = frozenset({0, 7, 8, 9})

# Han, kana and bopomofo; their phonetic and compatibility blocks.
_ONE_BY_ONE = re.compile(
    "([\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)

# The letters, numbers and marks that make words; SQLite's tokenizer is told the same.
_WORD_CATEGORIES = ("L", "N", "M")
_QUOTED = re.compile(r'[“”„«»"＂]([^“”„«»"＂]*)(?:[“”„«»"＂]|$)')

# A query of more words is cut: nobody types it, and each costs.
MAX_TERMS = 32


def fold(text: str) -> str:
    """Words in their plainest form, separated by single spaces.

    >>> fold("Žluťoučký kůň — STRASSE/Straße, 東京!")
    'zlutoucky kun strasse strasse 東 京'
    """
    return _fold_ascii(text) if text.isascii() else _fold_any(text)


_ASCII_OTHER = re.compile(r"[^a-z0-9]+")


def _fold_ascii(text: str) -> str:
    return _ASCII_OTHER.sub(" ", text.lower()).strip()


def _fold_any(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("i̇", "i"))
    bare = "".join(c for c in decomposed if unicodedata.combining(c) in _LETTER_MARKS)
    bare = unicodedata.normalize("NFKC", bare).casefold().translate(_PLAIN)
    spread = "".join(_spread(c) for c in bare)
    return " ".join(_ONE_BY_ONE.sub(r" \1 ", spread).split())


@lru_cache(maxsize=4096)
def _spread(character: str) -> str:
    category = unicodedata.category(character)
    # Variation selectors only say how the character before looks.
    if "\ufe00" <= character <= "\ufe0f":
        return ""
    # Emoji go by their number, since SQLite knows those of Unicode 6 only, and Python not yet the newest.
    if category == "So" or (category == "Cn" and "\U0001f000" <= character <= "\U0001faff"):
        return f" u{ord(character):x} "
    return character if category[0] in _WORD_CATEGORIES else " "


def of_photo(description: str, keywords: list[str], object_key: str, place: str | None) -> str:
    """All words that a photo can be found by: its line, keywords, folders and file name, and place."""
    return fold("\n".join((description, *keywords, object_key, place or "")))


def match(typed: str) -> str | None:
    """An FTS5 query for what somebody typed; None if it has no words (then nothing can be found by it).

    Words are prefixes and all have to be there; what stands in quotes has to be there as it is.

    >>> match('lak "big boat')
    '"big boat" AND "lak"*'
    """
    phrases = [fold(quoted) for quoted in _QUOTED.findall(typed)]
    # A word may be parted by folding (o'neill, 東京): its parts belong together.
    words = [fold(word) for word in _QUOTED.sub(" ", typed).split()]
    terms = [f'"{phrase}"' for phrase in phrases if phrase]
    terms += [f'"{word}"*' for word in words if word]
    return " AND ".join(terms[:MAX_TERMS]) or None
