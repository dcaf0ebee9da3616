"""What the walk passes over: hidden, temporary, a machine's own, and what `.taglineignore` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".taglineignore"

# Kept by NAS systems (Synology, QNAP), file managers, Windows and ext4 for themselves.
_FOREIGN = frozenset(
    {
        "@eaDir",
        "@Recycle",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "Thumbs.db",
        "thumbs.db",
        "desktop.ini",
    }
)
_UNFINISHED = (".part", ".crdownload", ".tmp")


def passed_over(name: str) -> bool:
    """Whether a file or directory of this name is never looked at."""
    return name[0] in ".~" or name in _FOREIGN or name.endswith(_UNFINISHED)


class Ignored:
    """The patterns in force in one directory: its own, and those of the directories above it.

    Patterns are those of gitignore; they apply below the directory that their file lies in, and those
    further down win.
    """

    def __init__(self, above: Ignored | None, prefix: str, spec: GitIgnoreSpec) -> None:
        self._above = above
        self._prefix = len(prefix)
        self._spec = spec

    def names(self, key: str) -> bool:
        """Whether `key` (with a slash at its end if it is a directory) is to be passed over."""
        level: Ignored | None = self
        while level is not None:
            decision = level._spec.check_file(key[level._prefix :]).include
            if decision is not None:
                return bool(decision)
            level = level._above
        return False


def read_patterns(above: Ignored | None, prefix: str, text: str) -> tuple[Ignored, list[str]]:
    """The patterns of an ignore file in the directory `prefix` ("" or with a slash at its end).

    The second value are lines that are no patterns; they are left out.
    """
    # Costs up to 25 ms and is needed by few libraries.
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore import GitIgnorePatternError

    lines, wrong = [], []
    for line in text.splitlines():
        try:
            GitIgnoreSpec.from_lines([line])
        except GitIgnorePatternError:
            wrong.append(line)
        else:
            lines.append(line)
    return Ignored(above, prefix, GitIgnoreSpec.from_lines(lines)), wrong
