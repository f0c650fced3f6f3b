package im.zego.zim.entity;

/** A stand-in for the SDK's own. */
public class ZIMLoginConfig {
    public String userName = "";
    public String token = "";
    public boolean isOfflineLogin;
}
