"""The status of the canary in every situation, on a simulated SDK and a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from sidecar.canary import Canary, CanaryStatus, TokenError
from sidecar.domain.units import SECOND_US
from sidecar.sdk import Call, SdkUnavailableError, SimulatorClient, ZimClient, ZimError
from sidecar.sdk.token04 import made_up
from sidecar.settings import CanarySettings
from tests.support.events import APP_ID, BEGIN_US

STEP_US = SECOND_US // 20
SETTINGS = CanarySettings(app_id=APP_ID, user_id="canary", token_command="-", login_timeout="15s", retry="1m")


class Life:
    """A canary, its SDK, and the time; ``statuses`` has each status that it reported."""

    def __init__(self) -> None:
        self.now_us = BEGIN_US
        self.client = SimulatorClient(APP_ID, clock=lambda: self.now_us, rng=Random(3))  # noqa: S311 - chance, no secret
        self.calls: list[Call] = []
        self.client.on_call(lambda what: self.calls.append(what) if isinstance(what, Call) else None)
        self.statuses: list[CanaryStatus] = []
        self.token_lives_s = 3_600
        self.no_token: str | None = None
        self.no_sdk: str | None = None
        self.task: asyncio.Task[None] | None = None
        self._sleeping: list[tuple[int, asyncio.Future[None]]] = []
        self.canary = Canary(
            SETTINGS,
            client=self._create,
            token=self._token,
            clock=lambda: self.now_us,
            changed=self.statuses.append,
            sleep=self._sleep,
        )

    async def _create(self, _app_id: int) -> ZimClient:
        if self.no_sdk is not None:
            raise SdkUnavailableError(self.no_sdk)
        return self.client

    async def _token(self) -> str:
        if self.no_token is not None:
            raise TokenError(self.no_token)
        return made_up(self.now_us + self.token_lives_s * SECOND_US, Random(1))  # noqa: S311 - it is made up

    async def _sleep(self, seconds: float) -> None:
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.now_us + round(seconds * SECOND_US), awake))
        await awake

    async def pass_time(self, seconds: float) -> CanaryStatus:
        """Lets time pass; returns the status after it."""
        self.task = self.task or asyncio.create_task(self.canary.run())
        until_us = self.now_us + round(seconds * SECOND_US)
        while self.now_us < until_us:
            self.now_us += STEP_US
            self.client.advance()
            for due_us, awake in self._sleeping:
                if due_us <= self.now_us and not awake.done():
                    awake.set_result(None)
            self._sleeping = [one for one in self._sleeping if not one[1].done()]
            for _ in range(8):  # a few turns of the loop, so that what is due is done at its time
                await asyncio.sleep(0)
        return self.canary.status

    @property
    def logins(self) -> list[Call]:
        return [call for call in self.calls if call.method == "login"]


@pytest.fixture
async def life() -> AsyncIterator[Life]:
    """It begins with the first call of ``pass_time``."""
    life = Life()
    yield life
    assert life.task is not None
    life.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await life.task
    assert life.calls[-1].method == "logout"


async def test_a_login_that_a_server_answers_shows_that_zim_can_be_reached(life: Life) -> None:
    status = await life.pass_time(2)
    assert (status.reachable, status.logins, status.problem) == (True, 1, None)
    assert 0 < (status.login_duration_us or 0) <= 500_000
    assert [one.reachable for one in life.statuses] == [True]


async def test_it_never_logs_in_offline_because_that_would_prove_nothing(life: Life) -> None:
    life.client.sdk.network = False
    await life.pass_time(200)
    life.client.sdk.network = True
    await life.pass_time(200)
    configs = [call.args[1] for call in life.logins]
    assert configs
    assert all(isinstance(config, dict) and config["isOfflineLogin"] is False for config in configs)


async def test_a_login_that_is_still_pending_at_its_deadline_is_not_reachable_until_it_is_answered(
    life: Life,
) -> None:
    life.client.sdk.network = False
    assert (await life.pass_time(14)).reachable is None
    status = await life.pass_time(2)
    assert status.reachable is False
    assert "no answer within 15 s" in str(status.problem)
    life.client.sdk.network = True
    status = await life.pass_time(40)
    assert (status.reachable, status.logins, status.reconnects) == (True, 1, 0)
    assert (status.login_duration_us or 0) > 16 * SECOND_US
    assert len(life.logins) == 1


async def test_a_lost_connection_is_not_reachable_and_its_return_is_counted_once(life: Life) -> None:
    await life.pass_time(2)
    life.client.sdk.lose_network(life.now_us)
    assert (await life.pass_time(20)).reachable is False
    life.client.sdk.network = True
    status = await life.pass_time(20)
    assert (status.reachable, status.reconnects, status.logins) == (True, 1, 1)
    assert [one.reachable for one in life.statuses] == [True, False, True]


async def test_when_its_token_ends_it_logs_in_again_and_stays_reachable(life: Life) -> None:
    life.token_lives_s = 120
    status = await life.pass_time(400)
    assert status.logins == 4
    assert [one.reachable for one in life.statuses] == [True]
    assert len({str(call.args[1]) for call in life.logins}) == 4


async def test_a_token_that_ends_at_once_is_not_requested_again_and_again(life: Life) -> None:
    life.token_lives_s = 10
    await life.pass_time(180)
    assert len(life.logins) <= 3


async def test_a_pending_login_outlives_no_token(life: Life) -> None:
    life.client.sdk.network = False
    life.token_lives_s = 120
    await life.pass_time(400)
    assert len(life.logins) == 3
    assert life.canary.status.reachable is False


async def test_kicked_out_it_is_unknown_and_logs_in_again_after_a_while(life: Life) -> None:
    await life.pass_time(2)
    life.client.sdk.kick_out(life.now_us)
    status = await life.pass_time(1)
    assert status.reachable is None
    assert "kicked it out" in str(status.problem)
    assert len(life.logins) == 1
    assert (await life.pass_time(62)).reachable is True


@pytest.mark.parametrize(
    ("code", "reachable"), [(6_000_104, False), (6_000_105, False), (6_000_103, None), (6_000_101, None)]
)
async def test_a_refusal_is_counted_by_its_code_and_only_the_networks_own_mean_not_reachable(
    life: Life,
    code: int,
    reachable: bool | None,  # noqa: FBT001 - three values
) -> None:
    life.client.sdk.refusal = ZimError(code, "no")
    status = await life.pass_time(2)
    assert status.reachable is reachable
    assert str(code) in str(status.problem)
    assert status.errors == {code: 1}
    await life.pass_time(61)
    assert life.canary.status.errors == {code: 2}


async def test_without_a_token_or_without_the_sdk_it_is_unknown_with_the_reason(life: Life) -> None:
    life.no_sdk = "Node.js is not installed"
    life.no_token = "canary.token_command ended with 1"
    assert ((await life.pass_time(1)).reachable, str(life.canary.status.problem)) == (None, "Node.js is not installed")
    life.no_sdk = None
    assert str((await life.pass_time(61)).problem) == "canary.token_command ended with 1"
    life.no_token = None
    assert (await life.pass_time(61)).reachable is True
    assert [one.reachable for one in life.statuses] == [None, None, True]


async def test_when_the_sdk_ends_it_is_unknown_and_logs_in_again(life: Life) -> None:
    await life.pass_time(2)
    life.client.die("the SDK's process was ended by SIGKILL")
    status = await life.pass_time(1)
    assert (status.reachable, str(status.problem)) == (None, "the SDK's process was ended by SIGKILL")
    assert (await life.pass_time(62)).reachable is True
    assert life.canary.status.logins == 2


async def test_a_login_that_is_over_as_it_begins_proves_nothing(life: Life) -> None:
    """The SDK with an expired token: the login succeeds with CONNECTED, but nobody is logged in."""
    sdk = life.client.sdk
    sdk.network = False

    def enter(at_us: int, *, offline: bool) -> None:
        assert not offline
        sdk._enter_offline(at_us)

    sdk._begin = enter  # type: ignore[method-assign]
    life.token_lives_s = 1
    status = await life.pass_time(5)
    assert (status.reachable, status.logins) == (None, 0)
    assert "over as soon as it began" in str(status.problem)
