package com.example.zimwatch; // yours

import org.json.JSONObject;

import im.zego.zim.ZIM;
import im.zego.zim.callback.ZIMEventHandler;
import im.zego.zim.enums.ZIMConnectionEvent;
import im.zego.zim.enums.ZIMConnectionState;

/** Extend this in place of ZIMEventHandler, and call super first in overrides of these two methods. */
public class ZimwatchEventHandler extends ZIMEventHandler {
    private final ZimwatchReporter reporter;

    public ZimwatchEventHandler(ZimwatchReporter reporter) {
        this.reporter = reporter;
    }

    @Override
    public void onConnectionStateChanged(
            ZIM zim, ZIMConnectionState state, ZIMConnectionEvent event, JSONObject extendedData) {
        reporter.connectionStateChanged(state.name(), event.name(), extendedData == null ? "" : extendedData.toString());
        super.onConnectionStateChanged(zim, state, event, extendedData);
    }

    @Override
    public void onTokenWillExpire(ZIM zim, int second) {
        reporter.tokenWillExpire(second);
        super.onTokenWillExpire(zim, second);
    }
}
