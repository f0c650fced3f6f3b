"""Checks of the server from outside: its port, its public address, and the tap from the pages that load it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from sidecar.access.proxies import is_loopback
from sidecar.doctor.result import Result, note, ok, problem
from sidecar.http_client import Answer, DeliveryError, HttpClient
from sidecar.settings import ServerSettings, Settings
from sidecar.system import listening
from sidecar.system.tls_listening import SENTENCE

_ANYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_DEVELOPMENT: Final = "http://localhost:5173"
_PROXIES: Final = ("nginx", "caddy", "apache", "haproxy", "traefik", "envoy")


class Here(msgspec.Struct, frozen=True):
    """What was found on the port of the settings; ``url`` is None where no Zimwatch answers."""

    result: Result
    url: str | None


async def port(server: ServerSettings, http: HttpClient) -> Here:
    """Whether Zimwatch runs on its port, or could."""
    host = _ANYWHERE.get(server.host, server.host).strip("[]")
    url = f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"
    try:
        answer = await http.request("GET", f"{url}/readyz")
    except DeliveryError:
        return Here(_free(host, server.port), None)
    if answer.body == SENTENCE:
        # Its certificate names another host than this address: only the public URL can be checked further.
        return Here(ok("port", f"Zimwatch speaks TLS on {host}:{server.port}"), None)
    if not _is_zimwatch(answer):
        text = f"another program answers on {host}:{server.port}"
        return Here(problem("port", text, "Set server.port, or end that program."), None)
    if not answer.is_success:
        text = f"Zimwatch answers on {url} and is not ready: {answer.body.decode(errors='replace')[:300]}"
        return Here(problem("port", text, "Its log says more."), url)
    return Here(ok("port", f"Zimwatch is ready on {url}"), url)


def _free(host: str, port_: int) -> Result:
    if port_ == 0:
        return note("port", "server.port is 0: any free port is taken")
    if (why := listening.refusal(host, port_)) is not None:
        advice = "Set server.host and server.port, or end the program that has the port."
        return problem("port", f"{host}:{port_} cannot be listened on: {why}", advice)
    return note("port", f"{host}:{port_} is free; no Zimwatch runs there, so that only the set-up was checked")


async def public_url(server: ServerSettings, http: HttpClient) -> AsyncIterator[Result]:
    """Requests through ``server.public_url``, as browsers make them."""
    if not server.public_url:
        yield note("public URL", "server.public_url is not set: links in alerts lead to the address of the server")
        return
    base = server.public_url.rstrip("/")
    try:
        answer = await http.request("GET", f"{base}/readyz")
        form = await http.request("POST", f"{base}/sign-out", headers={"Origin": _origin(base)})
    except DeliveryError as error:
        yield problem("public URL", f"{base} cannot be reached: {error}", "Check DNS, the proxy and its certificate.")
        return
    if not _is_zimwatch(answer):
        text = f"{base}/readyz answers {answer.status}, and not as Zimwatch does"
        yield problem("public URL", text, "Have the proxy pass this path to Zimwatch; see docs/proxies.md.")
    elif form.status in {403, 421}:
        text = f"forms that come through {base} are refused with {form.status}"
        yield problem("public URL", text, "Have the proxy pass Host and X-Forwarded-Proto; see docs/proxies.md.")
    else:
        yield ok("public URL", f"{base} leads to Zimwatch")
        proxy = _proxy_of(answer)
        if proxy and not server.trusted_proxies:
            text = f"it is reached through {proxy}, whose address is not in server.trusted_proxies"
            advice = "Add it, so that the addresses of clients are known and attempts to sign in are counted for each."
            yield note("proxy", text, advice)


async def tap(settings: Settings, base: str, http: HttpClient) -> AsyncIterator[Result]:
    """Whether a page of each allowed origin can load the tap from ``base`` and send events there."""
    origins = settings.ingest.allowed_origins or (_DEVELOPMENT,)
    for origin in origins:
        name = f"tap on {origin}"
        if origin.startswith("https:") and base.startswith("http:") and not is_loopback(urlsplit(base).hostname):
            advice = "Reach Zimwatch by https, and set server.public_url to that address."
            yield problem(name, f"a page over TLS may not load anything from {base}", advice)
            continue
        try:
            script = await http.request("GET", f"{base}/tap/zim-tap.js", headers={"Origin": origin})
            preflight = await http.request("OPTIONS", f"{base}/v1/events", headers=_preflight(origin))
        except DeliveryError as error:
            yield problem(name, f"{base} cannot be reached: {error}", "Check the address that the page uses.")
            continue
        refused = [one.status for one in (script, preflight) if not (one.is_success and _shares(one, origin))]
        if refused:
            advice = (
                "Add the origin to ingest.allowed_origins, and have the proxy leave /tap/ and /v1/events as they are."
            )
            yield problem(name, f"the tap or its events are refused ({refused[0]})", advice)
        else:
            yield ok(name, "the tap can be loaded, and may send events")


def _preflight(origin: str) -> Mapping[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }


def _shares(answer: Answer, origin: str) -> bool:
    return answer.headers.get("Access-Control-Allow-Origin") in {"*", origin}


def _is_zimwatch(answer: Answer) -> bool:
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.MsgspecError:
        return False
    return isinstance(body, dict) and ("status" in body or "reason" in body)


def _proxy_of(answer: Answer) -> str | None:
    said = f"{answer.headers.get('Server', '')} {answer.headers.get('Via', '')}".lower()
    return next((name for name in _PROXIES if name in said), None)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
