package im.zego.zim.enums;

/** A stand-in for the SDK's own. */
public enum ZIMErrorCode {
    SUCCESS;

    public int value() {
        return 0;
    }
}
