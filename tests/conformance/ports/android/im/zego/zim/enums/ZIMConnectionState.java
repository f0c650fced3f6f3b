package im.zego.zim.enums;

/** Fakes the SDK's. */
public enum ZIMConnectionState {
    DISCONNECTED,
    CONNECTING,
    CONNECTED,
    RECONNECTING,
    HIBERNATING // of a later version
}
