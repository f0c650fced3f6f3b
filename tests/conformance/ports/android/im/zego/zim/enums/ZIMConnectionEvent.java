package im.zego.zim.enums;

/** A stand-in for the SDK's own. */
public enum ZIMConnectionEvent {
    SUCCESS,
    ACTIVE_LOGIN,
    LOGIN_TIMEOUT,
    LOGIN_INTERRUPTED,
    KICKED_OUT,
    TOKEN_EXPIRED,
    UNREGISTERED
}
