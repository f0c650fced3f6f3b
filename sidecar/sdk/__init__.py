"""The ZIM client SDK, wrapped: the real one in Node.js, a simulated one, and what records either of them."""

from sidecar.sdk.bridge import NOWHERE, Bridge, BridgeClient, create
from sidecar.sdk.client import (
    Call,
    CallEnded,
    ConnectionStateChanged,
    ErrorInfo,
    LoginConfig,
    SdkLost,
    SdkLostError,
    TokenWillExpire,
    ZimClient,
    ZimError,
)
from sidecar.sdk.install import SdkUnavailableError
from sidecar.sdk.observing import Sink, observe
from sidecar.sdk.remote_sink import RemoteSink, SinkStatus
from sidecar.sdk.simulator_client import SimulatorClient

__all__ = [
    "NOWHERE",
    "Bridge",
    "BridgeClient",
    "Call",
    "CallEnded",
    "ConnectionStateChanged",
    "ErrorInfo",
    "LoginConfig",
    "RemoteSink",
    "SdkLost",
    "SdkLostError",
    "SdkUnavailableError",
    "SimulatorClient",
    "Sink",
    "SinkStatus",
    "TokenWillExpire",
    "ZimClient",
    "ZimError",
    "create",
    "observe",
]
