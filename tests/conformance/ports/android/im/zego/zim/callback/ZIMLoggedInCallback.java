package im.zego.zim.callback;

import im.zego.zim.entity.ZIMError;

/** Fakes the SDK's. */
public interface ZIMLoggedInCallback {
    void onLoggedIn(ZIMError errorInfo);
}
