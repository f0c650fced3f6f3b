package im.zego.zim.enums;

/** Fakes the SDK's. */
public enum ZIMErrorCode {
    SUCCESS;

    public int value() {
        return 0;
    }
}
