package im.zego.zim.callback;

import im.zego.zim.entity.ZIMError;

/** A stand-in for the SDK's own. */
public interface ZIMTokenRenewedCallback {
    void onTokenRenewed(String token, ZIMError errorInfo);
}
