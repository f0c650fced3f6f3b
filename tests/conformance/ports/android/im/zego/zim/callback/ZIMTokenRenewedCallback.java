package im.zego.zim.callback;

import im.zego.zim.entity.ZIMError;

/** Fakes the SDK's. */
public interface ZIMTokenRenewedCallback {
    void onTokenRenewed(String token, ZIMError errorInfo);
}
