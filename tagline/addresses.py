"""Addresses: under which one others in the house find this machine."""

import re
import socket
from contextlib import suppress

_THIS_MACHINE = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(?P<port>:\d+)?", re.IGNORECASE)


def own_address(host: str) -> str:
    """The address at which others find a service of this machine that listens on `host`, as it stands in a URL."""
    if host not in ("0.0.0.0", "::", ""):
        return f"[{host}]" if ":" in host else host
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Sends nothing: it only asks which of our addresses would be used.
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return socket.gethostname()


def for_others(asked: str, host: str) -> str:
    """The `Host` by which somebody asked, or one that means the same elsewhere: `localhost` is another machine there.

    >>> for_others("raspberrypi.local:8000", "0.0.0.0"), for_others("localhost:8000", "192.168.1.10")
    ('raspberrypi.local:8000', '192.168.1.10:8000')
    """
    here = _THIS_MACHINE.fullmatch(asked)
    return f"{own_address(host)}{here['port'] or ''}" if here and not _THIS_MACHINE.fullmatch(host) else asked
