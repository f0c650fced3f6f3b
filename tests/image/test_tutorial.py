"""The tutorial, with Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import docker, tutorial
from tests.support.container import Image

pytestmark = [pytest.mark.soak, pytest.mark.image, pytest.mark.browser, pytest.mark.node]


async def test_a_fresh_clone_and_the_image_lead_to_a_user_on_the_dashboard(image: Image, tmp_path: Path) -> None:
    await tutorial.walk("Docker", tmp_path, docker.install(tmp_path / "docker", image))
