package im.zego.zim.enums;

/** Fakes the SDK's. */
public enum ZIMConnectionEvent {
    SUCCESS,
    ACTIVE_LOGIN,
    LOGIN_TIMEOUT,
    LOGIN_INTERRUPTED,
    KICKED_OUT,
    TOKEN_EXPIRED,
    UNREGISTERED
}
