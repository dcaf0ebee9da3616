"""The command as people run it: a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tagline.config import SETTINGS

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-W", "error", "-m", "tagline")
_NAMES = {name for setting in SETTINGS for name in (setting.name, *setting.aliases)}


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """The environment of a command: this process's own without any setting of Tagline's, and these."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TAGLINE_", "STATE_DIRECTORY")) and name.removesuffix("_FILE") not in _NAMES
    }
    return {**own, "TAGLINE_DATA_DIR": str(data_dir), "HOME": str(data_dir), **settings}


def tagline(*arguments: str, data_dir: Path, typed: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with `typed` as its standard input."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(data_dir, **settings),
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
