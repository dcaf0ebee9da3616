"""The command line: `tagline serve`, `scan`, `sync`, `user`, `key`, `config`, `openapi`."""

import argparse
import os
import sys
from collections.abc import Sequence

import msgspec

from tagline import __version__
from tagline.api import SCOPES
from tagline.app import create_app
from tagline.commands import people
from tagline.commands.scan import scan
from tagline.commands.serve import Refused, serve
from tagline.config import SETTINGS, Config, ConfigError
from tagline.errors import Problem
from tagline.migrations import MigrationError
from tagline.operations import openapi

# sysexits.h: a wrong configuration; the unit does not restart on it.
EX_CONFIG = 78

EPILOG = """\
Everything is configured by environment variables; `tagline config` lists them, with what is in force.

  BACKEND_PASSWORD=… PHOTO_STORAGE_PATH=~/Pictures tagline serve

The documentation is in README.md and docs/."""


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="tagline", description="A home server for photos and the words that go with them.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"tagline {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    commands.add_parser("serve", help="serve the library until stopped")

    scanning = commands.add_parser("scan", help="take in what is new in the library's folder, with a progress bar")
    scanning.add_argument(
        "--accept-missing",
        action="store_true",
        help="believe that files are gone even where the library looks emptied",
    )

    _add_sync(commands)

    user = commands.add_parser("user", help="accounts: list them, set the household's password")
    users = user.add_subparsers(dest="action", metavar="ACTION", required=True)
    users.add_parser("list", help="all accounts")
    users.add_parser(
        "password",
        help="set the household's password, asked for or read from standard input; signs all devices out",
    )

    key = commands.add_parser("key", help="API keys for programs: make, list, revoke")
    key_actions = key.add_subparsers(dest="action", metavar="ACTION", required=True)
    adding = key_actions.add_parser("add", help="make a key; it is printed this once")
    adding.add_argument("name", help="what the key is for, e.g. 'backup on the NAS'")
    adding.add_argument("--scope", choices=SCOPES, default="read", help="what it may do (default: read)")
    key_actions.add_parser("list", help="all keys")
    revoking = key_actions.add_parser("revoke", help="end a key at once")
    revoking.add_argument("id", help="the id that `tagline key list` shows")

    commands.add_parser("config", help="every setting, its value and where it is from; secrets masked")
    commands.add_parser("openapi", help="the API as an OpenAPI 3.1 document")
    return top


def _add_sync(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sync = commands.add_parser("sync", help="send a folder of photos to a Tagline server, from any computer")
    sync.add_argument("folder", metavar="DIR", help="the folder of photos; nothing in it is ever changed")
    sync.add_argument("--server", metavar="URL", required=True, help="e.g. http://raspberrypi.local:8000")
    sync.add_argument("--pair", metavar="CODE", help="the code or link that a signed-in device shows; needed once")
    sync.add_argument("--key-file", metavar="FILE", help="a file that holds an API key; or the key as SYNC_KEY=…")
    sync.add_argument("--ca", metavar="FILE", help="certificates (PEM) to trust beside those of the system")
    sync.add_argument(
        "--parallel", metavar="N", type=int, choices=range(1, 17), default=3, help="how many files at once (3)"
    )
    sync.add_argument(
        "--patience", metavar="SECONDS", type=float, default=900, help="how long to wait for an absent server (900)"
    )
    sync.add_argument("--dry-run", action="store_true", help="only tell what would be sent")
    sync.add_argument("--quiet", action="store_true", help="say nothing but what went wrong")


def read(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its options. Ends the process, with status 2, where they make no sense."""
    joined = list(arguments)
    if joined[:1] == ["sync"] and "--pair" in joined[:-1]:
        # A pairing code may begin with a dash, and would be taken for an option.
        at = joined.index("--pair")
        joined[at : at + 2] = [f"--pair={joined[at + 1]}"]
    return parser().parse_args(joined)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit status."""
    options = read(sys.argv[1:] if arguments is None else arguments)
    if options.command == "sync":
        # For other computers: it needs no configuration of a server, and the server's start does without it.
        from tagline.commands.sync import sync

        return sync(options, os.environ)
    try:
        return _run(options, Config.from_env(os.environ))
    except ConfigError as error:
        print(
            "The configuration is wrong:",
            *(f"  {problem}" for problem in error.problems),
            sep="\n",
            file=sys.stderr,
        )
        return EX_CONFIG
    except (Refused, MigrationError) as error:
        print(error, file=sys.stderr)
        return 1
    except Problem as problem:
        print(problem.detail, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, config: Config) -> int:
    match options.command, getattr(options, "action", None):
        case "serve", _:
            return serve(config)
        case "scan", _:
            return scan(config, options.accept_missing)
        case "user", "list":
            return people.with_database(config, people.list_users)
        case "user", "password":
            return people.with_database(config, people.set_password(config))
        case "key", "add":
            return people.with_database(config, people.add_key(options.name, options.scope))
        case "key", "list":
            return people.with_database(config, people.list_keys)
        case "key", "revoke":
            return people.with_database(config, people.revoke_key(options.id))
        case "config", _:
            return show_config(config)
        case "openapi", _:
            document = openapi.document(create_app(config))
            sys.stdout.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
            return 0
    raise AssertionError(options.command)


def show_config(config: Config) -> int:
    """Print each setting with its value and where that is from."""
    for setting in SETTINGS:
        value = getattr(config, setting.field)
        if setting.secret:
            text = "***" if value else "(none)"
        elif isinstance(value, bool):
            text = "on" if value else "off"
        elif isinstance(value, tuple):
            text = ",".join(value) or "(none)"
        else:
            text = "(none)" if value in (None, "") else str(value)
        print(f"{setting.name}={text}  ({config.sources[setting.name]})\n    {setting.help}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
