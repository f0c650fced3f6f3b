package im.zego.zim.entity;

import im.zego.zim.enums.ZIMErrorCode;

/** Fakes the SDK's. */
public class ZIMError {
    public ZIMErrorCode code = ZIMErrorCode.SUCCESS;
    public String message = "";
}
