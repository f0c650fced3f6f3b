"""The names of apps, and the addresses of users in the back office."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.apps import Apps

NAMED = Apps({7: "Prod chat", 8: "Straße"}, "https://office.example.com/a/{app_id}/u/{user_id}/?id={user_id}#{app_id}")


def test_an_app_is_called_by_its_name_and_else_by_its_id() -> None:
    assert [NAMED.shown(app_id) for app_id in (7, 9)] == ["Prod chat", "9"]
    assert [NAMED.in_full(app_id) for app_id in (7, 9)] == ["Prod chat (7)", "9"]
    assert [NAMED.name(app_id) for app_id in (7, 9, None)] == ["Prod chat", None, None]


def test_an_app_is_found_by_its_name_whatever_the_case() -> None:
    assert [NAMED.id_of(text) for text in ("prod CHAT", "STRASSE", "9", "x")] == ["7", "8", "9", "x"]


@given(st.text(min_size=1).filter(lambda text: text not in {".", ".."}))
def test_whatever_a_user_id_has_it_stays_in_its_place(user_id: str) -> None:
    url = urlsplit(NAMED.user_url(7, user_id) or "")
    assert (url.scheme, url.netloc, url.fragment) == ("https", "office.example.com", "7")
    parts = url.path.split("/")
    assert (parts[1:4], unquote(parts[4]), parts[5:]) == (["a", "7", "u"], user_id, [""])
    assert parse_qs(url.query, keep_blank_values=True) == {"id": [user_id]}


def test_a_user_id_that_browsers_resolve_has_no_link() -> None:
    assert [NAMED.user_url(7, user_id) for user_id in (".", "..", None)] == [None, None, None]
    assert NAMED.user_url(7, "{app_id}") == "https://office.example.com/a/7/u/%7Bapp_id%7D/?id=%7Bapp_id%7D#7"
    assert Apps().user_url(7, "alice") is None
