package im.zego.zim.callback;

import im.zego.zim.ZIM;
import im.zego.zim.enums.ZIMConnectionEvent;
import im.zego.zim.enums.ZIMConnectionState;
import org.json.JSONObject;

/** Fakes the SDK's. */
public abstract class ZIMEventHandler {
    public void onConnectionStateChanged(
            ZIM zim, ZIMConnectionState state, ZIMConnectionEvent event, JSONObject extendedData) {}

    public void onTokenWillExpire(ZIM zim, int second) {}
}
