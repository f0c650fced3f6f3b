"""Copies ``schemas/event.v1.json`` into ``schemas/openapi.json``: events as sent, and as stored."""

from __future__ import annotations

import json
from typing import Any

from sidecar.domain.events import CONNECTION_STATE_CHANGED, HEARTBEAT
from tests.support.vectors import SCHEMAS, schema


def updated(document: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with this schema of events. New fields are added; those already described stay."""
    schemas = document["components"]["schemas"]
    schemas["Event"] = {name: value for name, value in event.items() if not name.startswith("$")}
    stored = schemas["StoredEvent"]["properties"]
    stored["type"]["enum"] = [one for one in event["properties"]["type"]["enum"] if one != HEARTBEAT]
    for one in event["oneOf"]:
        if one["title"] not in {CONNECTION_STATE_CHANGED, HEARTBEAT}:  # their fields are columns of their own
            for name, value in one["properties"].items():
                stored.setdefault(name, value)
    return document


if __name__ == "__main__":
    text = json.dumps(updated(schema("openapi.json"), schema("event.v1.json")), indent=2, ensure_ascii=False)
    (SCHEMAS / "openapi.json").write_text(text + "\n")
