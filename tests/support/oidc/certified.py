"""npm's oidc-provider (https://github.com/panva/node-oidc-provider), which is certified, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
from joserfc.jwk import ECKey, RSAKey
from yarl import URL

from tests.support.process import free_port

PROGRAM: Final = Path(__file__).parent / "provider.mjs"
CLIENT_ID: Final = "zimwatch"
CLIENT_SECRET: Final = "a secret with spaces & signs: %+/"


class CertifiedProvider:
    """Its settings in a file. ``people`` are the groups of each person; who is not in it does not exist."""

    def __init__(
        self, folder: Path, zimwatch: str, people: dict[str, list[str]], *, method: str = "client_secret_basic"
    ) -> None:
        self._file = folder / "provider.json"
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"
        self._settings: dict[str, Any] = {
            "port": self.port,
            "people": people,
            "method": method,
            "client": {
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "token_endpoint_auth_method": method,
                "grant_types": ["authorization_code", "refresh_token"],
                "redirect_uris": [f"{zimwatch}/sign-in/oidc/callback"],
                "post_logout_redirect_uris": [f"{zimwatch}/sign-in"],
                "backchannel_logout_uri": f"{zimwatch}/sign-in/oidc/back-channel-logout",
                "backchannel_logout_session_required": True,
            },
        }
        self.rotate()

    def rotate(self) -> None:
        """New keys, from its next start on."""
        keys: list[RSAKey | ECKey] = [
            RSAKey.generate_key(2048, auto_kid=True),
            ECKey.generate_key("P-256", auto_kid=True),
        ]
        self._write(jwks={"keys": [key.as_dict(private=True) | {"use": "sig"} for key in keys]})

    def change(self, **people: list[str]) -> None:
        """Other groups, at once."""
        self._write(people=self._settings["people"] | people)

    def remove(self, person: str) -> None:
        """This person has left."""
        self._write(people={name: groups for name, groups in self._settings["people"].items() if name != person})

    def _write(self, **settings: Any) -> None:
        self._settings |= settings
        self._file.write_text(json.dumps(self._settings))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as the context is open. RuntimeError if it does not start."""
        log = self._file.with_suffix(".log")
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                "node", str(PROGRAM), str(self._file), stdout=asyncio.subprocess.PIPE, stderr=errors
            )
        try:
            assert process.stdout is not None
            if not await process.stdout.readline():
                raise RuntimeError(f"the provider did not start: {log.read_text()}")
            yield
        finally:
            process.kill()
            await process.wait()


async def through_its_pages(http: aiohttp.ClientSession, address: str, person: str) -> str:
    """Signs in at ``address`` by the provider's own forms, and agrees. The address that it then leads back to."""
    for _ in range(8):
        async with http.get(address, allow_redirects=False) as response:
            if "Location" in response.headers:
                address = str(response.url.join(URL(response.headers["Location"], encoded=True)))
                if "/callback" in address:
                    return address
                continue
            page = await response.text()
        action = re.search(r'action="([^"]+)"', page)
        prompt = re.search(r'name="prompt" value="([^"]+)"', page)
        assert action is not None, page
        fields = {"prompt": prompt[1] if prompt else "", "login": person, "password": "anything"}
        async with http.post(action[1], data=fields, allow_redirects=False) as response:
            address = response.headers["Location"]
    raise RuntimeError(f"the provider did not lead back, but to {address}")


async def signs_out_there(http: aiohttp.ClientSession, issuer: str) -> None:
    """Signs out at the provider's own page, as somebody does who leaves another application."""
    async with http.get(f"{issuer}/session/end") as response:
        page = await response.text()
    token = re.search(r'name="xsrf" value="([^"]+)"', page)
    assert token is not None, page
    async with http.post(f"{issuer}/session/end/confirm", data={"xsrf": token[1], "logout": "yes"}) as response:
        assert response.status == 200
