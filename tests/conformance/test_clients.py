"""One suite for the real and the simulated SDK, for all behaviour that the real one shows without a server."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest

from sidecar.sdk import LoginConfig, SdkLostError, ZimError
from tests.conformance.worlds import BOTH, Recorded, World, done, offline, token, until, world_of

CONNECTED = ("CONNECTED", "SUCCESS")
RECONNECTING = ("RECONNECTING", "LOGIN_INTERRUPTED")
LOGGED_OUT = ("DISCONNECTED", "SUCCESS")
EXPIRED = ("DISCONNECTED", "TOKEN_EXPIRED")


@pytest.fixture(params=BOTH)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_of(request.param) as world:
        yield world


async def _code(world: World, method: str, *args: object) -> int:
    """The code of a rejected call; 0 if it succeeds."""
    try:
        await done(world, world.client.call(method, *args))
    except ZimError as error:
        return error.code
    return 0


async def _query(world: World) -> int:
    return await _code(world, "query_users_info", ["bob"], {"isQueryFromServer": True})


async def test_an_invalid_token_is_rejected_at_once_without_a_callback(world: World) -> None:
    recorded = Recorded(world.client)
    codes = []
    for given in ("garbage", "", "03" + token(world, 60)[2:]):
        with pytest.raises(ZimError) as refused:
            await done(world, world.client.login("alice", LoginConfig(token=given)))
        codes.append(refused.value.code)
    assert codes == [6_000_103, 6_000_103, 6_000_107]
    assert recorded.moves == []


async def test_while_not_logged_in_every_call_but_logout_is_rejected(world: World) -> None:
    recorded = Recorded(world.client)
    assert await _query(world) == 6_000_121
    assert await _code(world, "renewToken", token(world, 60)) == 6_000_121
    await done(world, world.client.logout())
    assert recorded.moves == []


async def test_an_offline_login_resolves_as_connected_and_then_reconnects_repeatedly(world: World) -> None:
    recorded = Recorded(world.client)
    await done(world, world.client.login("alice", offline(world)))
    await until(world, lambda: recorded.moves.count(RECONNECTING) >= 3)
    assert CONNECTED in recorded.moves
    assert set(recorded.moves) == {CONNECTED, RECONNECTING}
    assert await _query(world) == 6_000_104


async def test_a_second_login_is_rejected_for_another_user_and_joined_for_the_same(world: World) -> None:
    await done(world, world.client.login("alice", offline(world)))
    with pytest.raises(ZimError) as refused:
        await done(world, world.client.login("mallory", offline(world)))
    assert refused.value.code == 6_000_111
    await done(world, world.client.login("alice", offline(world)))


async def test_a_logout_calls_back_before_it_returns_and_ends_the_login(world: World) -> None:
    recorded = Recorded(world.client)
    await done(world, world.client.login("alice", offline(world)))
    await done(world, world.client.logout())
    assert recorded.moves[-1] == LOGGED_OUT
    assert await _query(world) == 6_000_121


async def test_an_online_login_without_a_network_stays_pending_even_after_a_logout(world: World) -> None:
    recorded = Recorded(world.client)
    login = asyncio.create_task(world.client.login("alice", LoginConfig(token=token(world, 600))))
    await until(world, lambda: recorded.moves.count(RECONNECTING) >= 2)
    assert set(recorded.moves) == {RECONNECTING}
    assert await _query(world) == 6_000_121
    await done(world, world.client.logout())
    assert recorded.moves[-1] == LOGGED_OUT
    assert not login.done()
    login.cancel()


async def test_without_a_network_renewals_fail_and_two_within_half_a_second_are_limited(world: World) -> None:
    await done(world, world.client.login("alice", offline(world)))
    renewals = [_code(world, "renew_token", token(world, 900)) for _ in range(2)]
    assert await asyncio.gather(*renewals) == [6_000_104, 6_000_004]
    assert await _code(world, "renew_token", "garbage") == 6_000_103


async def test_token_will_expire_is_called_thirty_seconds_before_the_expiry(world: World) -> None:
    recorded = Recorded(world.client)
    await done(world, world.client.login("dave", offline(world, 32)))
    assert recorded.seconds == []
    await until(world, lambda: bool(recorded.seconds))
    assert recorded.seconds == [30]


async def test_a_token_disconnects_shortly_before_its_expiry_and_reports_its_lifetime(world: World) -> None:
    recorded = Recorded(world.client)
    began_us = world.now_us()
    await done(world, world.client.login("dave", offline(world, 6)))
    await until(world, lambda: EXPIRED in recorded.moves)
    assert world.now_us() - began_us < 6_000_000
    assert recorded.moves[-1] == EXPIRED
    assert re.fullmatch(r"Token expired for timer [56]", recorded.extended[-1])
    assert recorded.seconds[0] in {5, 6}
    assert await _query(world) == 6_000_121


async def test_a_login_with_an_expired_token_resolves_without_logging_in(world: World) -> None:
    recorded = Recorded(world.client)
    await done(world, world.client.login("dave", offline(world, -5)))
    await until(world, lambda: EXPIRED in recorded.moves)
    (second,) = recorded.seconds
    assert second in {-5, -6}  # a second may have begun since
    assert CONNECTED in recorded.moves
    assert await _query(world) == 6_000_121


async def test_a_destroyed_client_does_not_answer(world: World) -> None:
    login = asyncio.create_task(world.client.login("alice", LoginConfig(token=token(world, 600))))
    await world.tick()
    await world.client.destroy()
    with pytest.raises(SdkLostError):
        await login


async def test_a_handler_that_raises_does_not_affect_others(world: World) -> None:
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: raised.append(context["exception"]))

    def wrong(_changed: object) -> None:
        raise RuntimeError("the app's own")

    off = world.client.on_connection_state_changed(wrong)
    recorded = Recorded(world.client)
    await done(world, world.client.login("alice", offline(world)))
    await until(world, lambda: RECONNECTING in recorded.moves)
    assert len(raised) == len(recorded.moves)
    off()
    with contextlib.suppress(ValueError):
        off()
    await done(world, world.client.logout())
    assert len(raised) == len(recorded.moves) - 1
