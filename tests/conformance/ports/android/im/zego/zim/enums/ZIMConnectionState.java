package im.zego.zim.enums;

/** A stand-in for the SDK's own. */
public enum ZIMConnectionState {
    DISCONNECTED,
    CONNECTING,
    CONNECTED,
    RECONNECTING,
    HIBERNATING // of a later version
}
