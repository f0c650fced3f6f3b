package im.zego.zim.entity;

import im.zego.zim.enums.ZIMErrorCode;

/** A stand-in for the SDK's own. */
public class ZIMError {
    public ZIMErrorCode code = ZIMErrorCode.SUCCESS;
    public String message = "";
}
