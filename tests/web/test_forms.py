"""The token of forms: other bytes in each answer, and only for whom it was made."""

from __future__ import annotations

import base64
from typing import cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from sidecar.store import Store
from sidecar.web.forms import FORM_KEY, FormKey, _is_token_of, form_token

APPLICATION = web.Application()
APPLICATION[FORM_KEY] = FormKey(cast("Store", None))
APPLICATION[FORM_KEY].value = b"k" * 32


def request_of(credentials: str) -> web.Request:
    return make_mocked_request("GET", "/", {"Authorization": credentials}, app=APPLICATION)


def test_a_token_is_masked_anew_each_time_and_holds_for_its_sender_alone() -> None:
    dana, mallory = request_of("Basic ZGFuYQ=="), request_of("Basic bWFsbG9yeQ==")
    made = [form_token(dana) for _ in range(100)]
    assert all(_is_token_of(dana, one) for one in made)
    assert not any(_is_token_of(mallory, one) for one in made)
    # No part of a token is the same in two of them: from the sizes of compressed pages nothing can be learnt.
    parts = [one[at : at + 8] for one in made for at in range(len(one) - 8)]
    assert len(set(parts)) == len(parts)


def test_anything_else_is_no_token() -> None:
    dana = request_of("Basic ZGFuYQ==")
    token = form_token(dana)
    for given in (
        "",
        "x",
        "断线",
        token[:-4],
        token[4:],
        token + token,
        token[:-4] + "AAA=",
        "A" * len(token),
        "\udcff",
    ):
        assert not _is_token_of(dana, given), given


def test_nothing_may_follow_a_token() -> None:
    dana = request_of("Basic ZGFuYQ==")
    raw = base64.urlsafe_b64decode(form_token(dana))
    for more in (b"\0", b"x", raw):
        assert not _is_token_of(dana, base64.urlsafe_b64encode(raw + more).decode())
