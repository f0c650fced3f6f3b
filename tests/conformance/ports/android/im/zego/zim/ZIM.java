package im.zego.zim;

import im.zego.zim.callback.ZIMEventHandler;
import im.zego.zim.callback.ZIMLoggedInCallback;
import im.zego.zim.callback.ZIMTokenRenewedCallback;
import im.zego.zim.entity.ZIMError;
import im.zego.zim.entity.ZIMLoginConfig;
import im.zego.zim.enums.ZIMConnectionEvent;
import im.zego.zim.enums.ZIMConnectionState;
import org.json.JSONObject;

/** Fakes the part of the ZIM Android SDK that the reporter uses, with its names and signatures. */
public class ZIM {
    private ZIMEventHandler handler;

    public static String getVersion() {
        return "2.28.0";
    }

    public void setEventHandler(ZIMEventHandler handler) {
        this.handler = handler;
    }

    public void login(String userID, ZIMLoginConfig config, ZIMLoggedInCallback callback) {
        says(2, 0, new JSONObject());
        callback.onLoggedIn(new ZIMError());
    }

    public void logout() {
        says(0, 0, null);
    }

    public void renewToken(String token, ZIMTokenRenewedCallback callback) {
        callback.onTokenRenewed(token, new ZIMError());
    }

    public void says(int state, int event, JSONObject extendedData) {
        handler.onConnectionStateChanged(
                this, ZIMConnectionState.values()[state], ZIMConnectionEvent.values()[event], extendedData);
    }

    public void warns(int second) {
        handler.onTokenWillExpire(this, second);
    }
}
