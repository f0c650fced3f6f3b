"""The image, built once for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import container
from tests.support.container import Image


@pytest.fixture(scope="session")
def digest(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> str:
    """Of the image, as built from this tree."""
    run = tmp_path_factory.getbasetemp().parent / f"image-{testrun_uid}"
    run.mkdir(exist_ok=True)
    return container.build_once(run)


@pytest.fixture(scope="session")
def image(digest: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Its files, unpacked."""
    assert digest
    with container.unpacked(tmp_path_factory.mktemp("image")) as unpacked:
        yield unpacked
