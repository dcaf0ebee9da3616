"""Which storage it is to be."""

from pathlib import Path

from tagline import errors
from tagline.storage.local import LocalStorage
from tagline.storage.memory import MemoryStorage
from tagline.storage.provider import Storage


def open_storage(backend: str, path: Path | None) -> Storage:
    """The storage that PHOTO_STORAGE_BACKEND and PHOTO_STORAGE_PATH name.

    Touches no disk: `Storage.check` does. Raises `errors.Invalid` with the name of the setting.
    """
    if backend == "memory":
        return MemoryStorage()
    if backend not in ("local", "filesystem"):
        raise errors.Invalid("PHOTO_STORAGE_BACKEND", f"must be local, filesystem or memory, not {backend!r}")
    if path is None:
        raise errors.Invalid("PHOTO_STORAGE_PATH", f"is needed by the backend {backend}")
    return LocalStorage(path)
