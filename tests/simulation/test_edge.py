"""Whatever fails at an edge, at its centre and between them, the centre has the edge's log in the end, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.edge import EdgeRun
from tests.support import virtual


@pytest.mark.parametrize("seed", [*range(1, 7), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(7, 47))])
def test_a_centre_has_all_of_its_edge(tmp_path: Path, seed: int) -> None:
    run = EdgeRun(seed, tmp_path)
    virtual.run(run.machine, run.run())
    assert run.centre.log.ids


def test_the_faults_happen_and_a_seed_gives_the_same_run(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "again"):
        (tmp_path / name).mkdir()
        runs.append(run := EdgeRun(3, tmp_path / name))
        virtual.run(run.machine, run.run())
    first, again = runs
    assert first.edge.kills
    assert first.centre.kills
    assert list(first.centre.log.ids.items()) == list(again.centre.log.ids.items())
