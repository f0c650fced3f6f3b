"""The commands of ``zimwatch`` in groups, with a line for each: read without importing any of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself would cost half of the start
    from typing import Final

GROUPS: Final[dict[str, dict[str, str]]] = {
    "Begin": {
        "demo": "Serve a throw-away database with a made-up day and a live, simulated fleet of clients.",
        "serve": "Serve the sidecar and its dashboard.",
        "check-config": "Check the settings and print what is in force, secrets masked.",
        "doctor": "Check this machine, the database, what is called, and how a running server is reached.",
    },
    "People and senders": {
        "account": "Add, list and change accounts of people.",
        "token": "Create, list, rotate and revoke tokens.",
        "audit": "Check the audit log.",
    },
    "Users and alerts": {
        "token04": "Read a ZIM token (Token04) from standard input, and say what it is and what is wrong with it.",
        "export": "Print all that is held of a user as one JSON, also while the database is being served.",
        "erase": "Remove everything of a user, also while the database is being served; there is no way back.",
        "alerts": "Test the alert rules.",
    },
    "Upkeep": {
        "db": "Check, copy and maintain the database.",
        "canary": "Log an account in through the real SDK, and print when ZIM becomes reachable or unreachable.",
        "sdk": "Install the real ZIM Web SDK on this machine.",
        "completion": "Print the script by which a shell completes commands and options.",
    },
}
COMMANDS: Final = [name for group in GROUPS.values() for name in group]

_HEAD: Final = """\
Usage: zimwatch COMMAND [OPTIONS]

  Who is online, offline or not logged in on ZEGOCLOUD ZIM, and why.
"""
_TAIL: Final = """\
Examples:
  zimwatch demo                                    look around, without an app
  zimwatch serve                                   http://127.0.0.1:8790/, database in ./zimwatch.db
  zimwatch account add ann --role admin            let somebody sign in
  zimwatch token create --scope ingest --app-id 1  a secret for the senders of app 1
  zimwatch token04 < token.txt                     why ZIM refuses a token
  zimwatch db backup friday.db                     copy the database while it is served

Settings come from zimwatch.toml (--config FILE), then ZIMWATCH_SECTION__KEY, then options.
`zimwatch COMMAND --help` explains a command, `zimwatch check-config` lists the settings.
"""


def text() -> str:
    """What ``zimwatch --help`` prints."""
    groups = "\n".join(
        f"{heading}:\n" + "".join(f"  {name:<13} {line}\n" for name, line in lines.items())
        for heading, lines in GROUPS.items()
    )
    return f"{_HEAD}\n{groups}\n{_TAIL}".rstrip("\n")
