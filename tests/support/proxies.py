"""nginx, HAProxy, Apache httpd and Caddy in front of a server, as Debian sets them up, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

IS_ROOT: Final = os.geteuid() == 0
START_TIMEOUT_S: Final = 30
POLL_S: Final = 0.02
STRIPS, KEEPS = "strips", "keeps"

_NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ }}
http {{
  access_log off; gzip on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}{tls}; location {at}/ {{ proxy_pass http://127.0.0.1:{upstream}{to}; {more} }}
  {beside} }}
}}
"""
_HAPROXY: Final = """
defaults
  mode http
  timeout connect 5000
  timeout client 50000
  timeout server 50000
frontend all
  bind 127.0.0.1:{port}
  {more}
  default_backend zimwatch
backend zimwatch
  {strip}
  server one 127.0.0.1:{upstream}
"""
_APACHE_MODULES: Final = ("mpm_event", "authz_core", "filter", "mime", "deflate", "reqtimeout", "proxy", "proxy_http")
_APACHE: Final = """
{modules}
ServerName localhost
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
Listen 127.0.0.1:{port}
{user}
TypesConfig /etc/mime.types
AddOutputFilterByType DEFLATE text/html text/plain text/xml text/css application/javascript text/javascript
AllowEncodedSlashes Off
ProxyPass "{at}/" "http://127.0.0.1:{upstream}{to}/"
ProxyPassReverse "{at}/" "http://127.0.0.1:{upstream}{to}/"
{more}
"""
_CADDY: Final = """
{{
  admin off
  auto_https off
}}
:{port} {{
  bind 127.0.0.1
  {handle} {at}/* {{
    reverse_proxy 127.0.0.1:{upstream}
  }}
  {more}
}}
"""
PROXIES: Final = ("nginx", "haproxy", "apache2", "caddy")


@contextlib.asynccontextmanager
async def proxy(
    name: str,
    folder: Path,
    upstream: int,
    port: int,
    *,
    path: str = "",
    prefix: str = KEEPS,
    more: str = "",
    beside: str = "",
    certificate: Path | None = None,
) -> AsyncIterator[str]:
    """Its address, ``path`` at the end. Below ``path`` it passes on to ``upstream``, and strips it or keeps it.

    ``more`` are lines of its configuration, ``beside`` those of nginx outside of the location. nginx speaks TLS with a
    ``certificate``, a file that holds its key too.
    RuntimeError if it does not listen.
    """
    folder = folder / name
    folder.mkdir()
    to = path if prefix == KEEPS else ""
    configuration, command = {"nginx": _nginx, "haproxy": _haproxy, "apache2": _apache, "caddy": _caddy}[name](folder)
    file = folder / "proxy.conf"
    values = {"folder": folder, "port": port, "upstream": upstream, "at": path, "more": more, "beside": beside}
    values |= {"to": f"{to}/" if name == "nginx" and path and prefix != KEEPS else to if name != "nginx" else ""}
    values["tls"] = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}" if certificate else ""
    values["strip"] = f"http-request replace-path {path}(/)?(.*) /\\2" if prefix != KEEPS else ""
    values["handle"] = "handle" if prefix == KEEPS else "handle_path"
    file.write_text(configuration.format(**values))
    with (folder / "stderr").open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, str(file), stdout=output, stderr=output)
    try:
        await _listening(port, process, folder)
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}{path}"
    finally:
        if process.returncode is None:
            # Apache, one process here, waits for its streams; a master that is killed would leave its workers behind.
            process.send_signal(signal.SIGKILL if name == "apache2" else signal.SIGTERM)
            await process.wait()


def _nginx(folder: Path) -> tuple[str, list[str]]:
    return _NGINX.replace("{user}", "user root;" if IS_ROOT else ""), ["nginx", "-e", str(folder / "error.log"), "-c"]


def _haproxy(_folder: Path) -> tuple[str, list[str]]:
    return _HAPROXY, ["haproxy", "-db", "-f"]


def _apache(_folder: Path) -> tuple[str, list[str]]:
    lines = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in _APACHE_MODULES)
    user = "User www-data\nGroup www-data" if IS_ROOT else ""
    return _APACHE.replace("{modules}", lines).replace("{user}", user), ["apache2", "-X", "-f"]


def _caddy(folder: Path) -> tuple[str, list[str]]:
    """It keeps a copy of its configuration, and would keep certificates, in these folders."""
    folders = [f"XDG_CONFIG_HOME={folder}", f"XDG_DATA_HOME={folder}"]
    return _CADDY, ["env", *folders, "caddy", "run", "--adapter", "caddyfile", "--config"]


async def _listening(port: int, process: asyncio.subprocess.Process, folder: Path) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(POLL_S)
    output = "\n".join(file.read_text() for file in (folder / "stderr", folder / "error.log") if file.exists())
    raise RuntimeError(f"the proxy ended with {process.returncode}: {output}")
