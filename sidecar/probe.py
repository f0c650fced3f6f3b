"""``python -m sidecar.probe``: exit 0 if the server of these settings answers, else 1 and the reason.

For the health check of a container, which runs it every few seconds: it loads only the settings, in a tenth of the time
of the command ``zimwatch``.
"""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import os
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sidecar.errors import ZimwatchError
from sidecar.settings import ServerSettings, load

TIMEOUT_S: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status. The options are those of ``zimwatch serve``, or those of a running process."""
    options = _options().parse_args(arguments)
    try:
        if options.pid is not None:
            command = Path(f"/proc/{options.pid}/cmdline").read_bytes().decode().split("\0")
            _options().parse_known_args(command[1:], namespace=options)
        given = {"server.host": options.host, "server.port": options.port}
        answer(load(options.config, os.environ, given).settings.server)
    except (ZimwatchError, OSError, http.client.HTTPException) as error:
        print(f"zimwatch: {error}", file=sys.stderr)  # noqa: T201 - the output of a command
        return 1
    return 0


def answer(server: ServerSettings) -> None:
    """Returns if ``/livez`` answers 200; raises ZimwatchError, OSError or HTTPException."""
    hosts = _reached_at(server.host.strip("[]"))
    for host in hosts:
        connection = (
            http.client.HTTPConnection(host, server.port, timeout=TIMEOUT_S)
            if server.tls_cert is None
            # The certificate names another host than this address; the connection does not leave the machine.
            else http.client.HTTPSConnection(host, server.port, timeout=TIMEOUT_S, context=_unverified())
        )
        try:
            connection.request("GET", "/livez")
            status = connection.getresponse().status
        except ConnectionError:
            if host == hosts[-1]:
                raise
        else:
            if status == http.client.OK:
                return
            raise ZimwatchError(f"/livez answers {status}.")
        finally:
            connection.close()


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reached_at(host: str) -> tuple[str, ...]:
    """The addresses by which this machine reaches a server that listens on ``host``."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    if not everywhere:
        return (host,)
    return ("127.0.0.1", "::1") if ":" in host else ("127.0.0.1",)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sidecar.probe", description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", type=Path, help="settings file; default ./zimwatch.toml")
    parser.add_argument("--host", help="address that the server listens on")
    parser.add_argument("--port", type=int, help="port that the server listens on")
    parser.add_argument("--pid", type=int, help="take the options of this process, such as 1 in a container")
    return parser


if __name__ == "__main__":
    sys.exit(main())
