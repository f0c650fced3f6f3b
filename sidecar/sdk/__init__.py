"""The ZIM client SDK for Python: the real one in Node.js, a simulated one, and the recording of events from both."""

from sidecar.sdk.client.bridge import (
    NOWHERE,
    Bridge,
    BridgeClient,
    create,
)
from sidecar.sdk.client.install import SdkUnavailableError
from sidecar.sdk.client.zim_client import (
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
from sidecar.sdk.recording.observing import Sink, observe
from sidecar.sdk.recording.remote_sink import RemoteSink, SinkStatus
from sidecar.sdk.simulator.simulator_client import SimulatorClient

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
