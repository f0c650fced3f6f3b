"""What people read about an edge that cannot pass its events on."""

from __future__ import annotations

from typing import Final

from sidecar.domain.texts import Sentence

REFUSED: Final = Sentence(
    "forward.refused",
    "the centre refuses what is sent (%(why)s); look at forward.url and forward.token, and at the token there",
)
AWAY: Final = Sentence("forward.away", "the centre does not take events now (%(why)s)")
STRANGE: Final = Sentence(
    "forward.strange", "what answers at forward.url is no Zimwatch; look at the address, and at proxies before it"
)
