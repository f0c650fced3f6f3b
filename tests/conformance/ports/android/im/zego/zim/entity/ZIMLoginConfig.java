package im.zego.zim.entity;

/** Fakes the SDK's. */
public class ZIMLoginConfig {
    public String userName = "";
    public String token = "";
    public boolean isOfflineLogin;
}
