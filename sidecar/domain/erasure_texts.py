"""What an erasure does not reach, in sentences for its certificate."""

from __future__ import annotations

from typing import Final

from sidecar.domain.texts import Sentence

NOT_REACHED: Final = (
    Sentence("erased.backups", "backups that were made before: they have the data until you delete them"),
    Sentence(
        "erased.sent",
        "what was sent before: spans at the collector, messages at receivers, answers and exports that somebody saved",
    ),
    Sentence("erased.receivers", "alerts that are open at a receiver: Zimwatch does not resolve them there"),
    Sentence("erased.logs", "logs of Zimwatch, of proxies and of browsers that name the user"),
    Sentence("erased.disk", "blocks of the disk that the file system has freed, and its snapshots"),
    Sentence(
        "erased.senders", "what devices and ZEGO's server send from now on: the same id is a new user, without a past"
    ),
)
