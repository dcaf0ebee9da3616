"""Sends a file by tuspy, as a program does: python -m tests.uploads.clients.with_tuspy ENDPOINT TOKEN FILE OPTIONS.

OPTIONS (JSON): chunk, metadata, url (go on there), store (a file in which it notes its uploads), stop_at (bytes),
checked (a checksum with each chunk). Prints one line of JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.storage.filestorage import FileStorage


def send(endpoint: str, token: str, path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Send; tells where the upload is, at which offset it began and ended, or how it was refused."""
    client = TusClient(endpoint, headers={"Authorization": f"Bearer {token}"})
    storage: Any = FileStorage(options["store"]) if "store" in options else None  # type: ignore[no-untyped-call]
    try:
        uploader = client.uploader(
            str(path), chunk_size=options["chunk"], metadata=options.get("metadata", {}), url=options.get("url"),
            store_url=storage is not None, url_storage=storage, upload_checksum=options.get("checked", False),
        )  # fmt: skip
        began = uploader.offset
        uploader.upload(stop_at=options.get("stop_at"))
    except TusCommunicationError as refused:
        return {"status": refused.status_code}
    finally:
        if storage:
            storage.close()
    return {"url": uploader.url, "began": began, "ended": uploader.offset}


if __name__ == "__main__":
    endpoint, token, path, options = sys.argv[1:]
    print(json.dumps(send(endpoint, token, Path(path), json.loads(options))))
