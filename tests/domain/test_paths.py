"""Paths of this server, made and checked."""

from __future__ import annotations

import pytest

from sidecar.domain.paths import safe_path, user_path


@pytest.mark.parametrize(
    ("user_id", "path"),
    [
        ("alice", "/users/7/alice"),
        ("bob@example.com?#", "/users/7/bob%40example.com%3F%23"),
        ("...", "/users/7/..."),
        (".", "/users/7/?id=."),
        ("..", "/users/7/?id=.."),
        ("a/b", "/users/7/?id=a%2Fb"),
        ("a\\b", "/users/7/?id=a%5Cb"),
        ("100%", "/users/7/?id=100%25"),
        ("a\0", "/users/7/?id=a%00"),
    ],
)
def test_an_id_that_would_not_survive_in_a_path_is_in_the_query(user_id: str, path: str) -> None:
    assert user_path(7, user_id) == path


@pytest.mark.parametrize("path", ["/", "/users?q=a//b", "/users#//", "/a;b/c~", "/?next=//x"])
def test_a_path_of_this_server_is_kept(path: str) -> None:
    assert safe_path(path, "/other") == path


@pytest.mark.parametrize(
    "text", ["", "users", "//mallory.example.com", "/a//b", "/\\mallory", "/a\n", "/ü", "https://mallory.example.com"]
)
def test_any_other_text_gives_the_other_path(text: str) -> None:
    assert safe_path(text) == "/"
    assert safe_path(text, "/other") == "/other"
