"""The names of browsers."""

from __future__ import annotations

import pytest

from dashboard.text.browser_names import browser_name

WINDOWS, LINUX, CHROMEBOOK = "Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "X11; CrOS x86_64 14541.0.0"
ANDROID, MAC = "Linux; Android 10; K", "Macintosh; Intel Mac OS X 10_15_7"
IPHONE, IPAD = "iPhone; CPU iPhone OS 18_6 like Mac OS X", "iPad; CPU OS 16_7 like Mac OS X"
NAMES = {
    "Chrome on Windows": (WINDOWS, "Chrome/142.0.0.0 Safari/537.36"),
    "Edge on Windows": (WINDOWS, "Chrome/142.0.0.0 Safari/537.36 Edg/142.0"),
    "Opera on Linux": (LINUX, "Chrome/140.0 Safari/537.36 OPR/124.0"),
    "Chrome on ChromeOS": (CHROMEBOOK, "Chrome/142.0 Safari/537.36"),
    "Samsung Internet on Android": (ANDROID, "SamsungBrowser/28.0 Chrome/130.0 Mobile Safari/537.36"),
    "Firefox on Linux": (f"{LINUX}; rv:145.0", "Firefox/145.0"),
    "Safari on macOS": (MAC, "Version/18.6 Safari/605.1.15"),
    "Chrome on iPhone": (IPHONE, "CriOS/142.0 Mobile Safari/604.1"),
    "Safari on iPad": (IPAD, "Version/16.6 Mobile Safari/604.1"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_has_the_name_that_people_know(name: str) -> None:
    system, products = NAMES[name]
    assert browser_name(f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) {products}") == name


@pytest.mark.parametrize("text", ["curl/8.5.0", "Mozilla/5.0 (compatible; Someone/1.0)", "Windows", ""])
def test_what_is_no_known_browser_is_left_as_it_is(text: str) -> None:
    assert browser_name(text) == text
