"""The provider's discovery document and keys: which are used, how often they are fetched, and where they may lead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc.jwk import KeySet

from sidecar.access.oidc import ProviderError
from sidecar.access.oidc.documents import Documents, may_lead_to
from sidecar.http_client import HttpClient
from tests.support.clocks import Machine
from tests.support.oidc.hostile import HostileProvider


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
async def provider(machine: Machine) -> AsyncIterator[HostileProvider]:
    provider = HostileProvider(machine)
    async with provider.running():
        yield provider


@pytest.fixture
async def documents(provider: HostileProvider, machine: Machine) -> AsyncIterator[Documents]:
    async with HttpClient() as http:
        yield Documents(provider.issuer, lambda: http, machine.clock)


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"issuer": "https://mallory.example"}, "its issuer is https://mallory.example"),
        ({"token_endpoint": 7}, "Expected `str`, got `int`"),
        ({"token_endpoint": "ftp://127.0.0.1/token"}, "its token_endpoint is no address that the issuer may lead to"),
        ({"end_session_endpoint": "javascript:alert(1)"}, "its end_session_endpoint is no address"),
        ({"padding": "x" * 300_000}, "it has more than 262144 bytes"),
    ],
)
async def test_a_discovery_document_that_is_not_as_it_must_be_is_refused_by_name(
    documents: Documents, provider: HostileProvider, metadata: dict[str, Any], why: str
) -> None:
    provider.metadata = metadata
    with pytest.raises(ProviderError, match="discovery document cannot be used") as refused:
        await documents.metadata.get()
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("issuer", "endpoint", "may"),
    [
        ("https://id.example", "https://id.example/token", True),
        ("https://accounts.example", "https://oauth2.other.example/token", True),
        ("https://id.example", "http://id.example/token", False),
        ("https://id.example", "https://127.0.0.1:8200/v1/secret", False),
        ("https://id.example", "https://localhost/token", False),
        ("https://id.example", "https://[::1]/token", False),
        ("http://localhost:8080", "http://127.0.0.1:9000/token", True),
        ("http://localhost:8080", "https://id.example/token", True),
        ("http://localhost:8080", "file:///etc/passwd", False),
        ("https://id.example", "/token", False),
        ("https://id.example", "https://[::1/token", False),
        ("https://id.example", "https://id.example:99999/token", False),
    ],
)
def test_a_provider_leads_to_nothing_weaker_than_itself(issuer: str, endpoint: str, *, may: bool) -> None:
    assert may_lead_to(issuer, endpoint) == may


async def test_only_public_keys_to_verify_with_are_taken(documents: Documents, provider: HostileProvider) -> None:
    own = KeySet([provider.key]).as_dict(private=False)["keys"][0]
    others = [{"kty": "oct", "kid": own["kid"], "k": "c2VjcmV0"}, {"kty": "RSA", "kid": "x", "n": "!"}, {"kty": 7}, {}]
    provider.keys = {"keys": [*others, own | {"use": "enc", "kid": "y"}, own]}
    assert [key.kid for key in (await documents.keys.get()).keys] == [own["kid"]]


@pytest.mark.parametrize("keys", [{"keys": []}, {"keys": [{"kty": "oct", "k": "AAAA"}]}, {"keys": ["x"]}, [], {}])
async def test_a_key_set_without_a_usable_key_is_refused(
    documents: Documents, provider: HostileProvider, keys: object
) -> None:
    provider.keys = keys or [[]]
    with pytest.raises(ProviderError, match="key set cannot be used"):
        await documents.keys.get()


async def test_a_failed_fetch_is_repeated_after_five_seconds_and_what_is_known_stays_in_use(
    documents: Documents, provider: HostileProvider, machine: Machine
) -> None:
    provider.status = 503
    for _ in range(3):
        with pytest.raises(ProviderError, match="cannot be reached: HTTP 503"):
            await documents.metadata.get()
    assert provider.asked.popitem()[1] == 1
    provider.status = 200
    machine.passes(5)
    found = await documents.metadata.get()
    provider.status = 503
    machine.passes(3_600)
    assert await documents.metadata.get() == found
