import com.example.zimwatch.ZimwatchEventHandler;
import com.example.zimwatch.ZimwatchReporter;
import im.zego.zim.ZIM;
import im.zego.zim.entity.ZIMLoginConfig;
import im.zego.zim.enums.ZIMConnectionEvent;
import im.zego.zim.enums.ZIMConnectionState;
import java.io.File;
import org.json.JSONObject;

/** An app with the Android reporter on a fake SDK. Arguments: scenario, endpoint, the queue's file, a Token04. */
public class App {
    static int handled;

    static class Handler extends ZimwatchEventHandler {
        Handler(ZimwatchReporter reporter) {
            super(reporter);
        }

        @Override
        public void onConnectionStateChanged(ZIM zim, ZIMConnectionState state, ZIMConnectionEvent event, JSONObject data) {
            super.onConnectionStateChanged(zim, state, event, data);
            handled++;
        }

        @Override
        public void onTokenWillExpire(ZIM zim, int second) {
            super.onTokenWillExpire(zim, second);
            handled++;
        }
    }

    public static void main(String[] given) throws Exception {
        String scenario = given[0];
        ZimwatchReporter.Options options = new ZimwatchReporter.Options();
        options.endpoint = given[1];
        options.appID = 1234567890;
        options.appVersion = "4.2";
        options.deviceId = "port";
        options.queueFile = new File(given[2]);
        options.mostEvents = scenario.equals("bounded") ? 10 : 2000;
        options.firstRetryMs = 20;
        options.heartbeatMs = scenario.matches("heart|silent|kit|consent") ? 30 : 15_000;
        if (scenario.equals("proof")) options.assertion = userID -> "of " + userID;
        ZimwatchReporter reporter = new ZimwatchReporter(options);
        ZIM zim = new ZIM();
        zim.setEventHandler(new Handler(reporter));
        if (scenario.equals("life")) {
            login(reporter, zim, given[3]);
            zim.warns(-5);
            reporter.renewToken(zim, given[3], null);
            zim.says(0, 4, new JSONObject().put("message", "断线 🙂 \ud800"));
            login(reporter, zim, "a secret");
            zim.says(3, 3, new JSONObject());
            zim.says(3, 3, new JSONObject());
            zim.says(4, 6, null);
            reporter.apiError("queryUsersInfo", 6000121, "not logged in");
            reporter.logout(zim);
        } else if (scenario.equals("proof")) {
            for (String user : new String[] {"alice", "bob"}) {
                reporter.login(zim, user, new ZIMLoginConfig(), null);
                reporter.logout(zim);
            }
        } else if (scenario.equals("heart")) {
            login(reporter, zim, given[3]);
            System.in.read(); // until the test has received enough
            reporter.logout(zim);
        } else if (scenario.equals("silent")) {
            login(reporter, zim, given[3]);
            zim.says(3, 3, new JSONObject());
            reporter.logoutCalled();
            zim.says(3, 3, new JSONObject());
            System.in.read(); // longer than the interval of heartbeats
        } else if (scenario.equals("kit")) {
            zim.says(1, 1, new JSONObject());
            zim.says(2, 0, new JSONObject());
            reporter.loggedIn("carol");
            reporter.loggedIn("carol");
            System.in.read(); // until the test has received enough
            reporter.logoutCalled();
        } else if (scenario.equals("consent")) {
            login(reporter, zim, given[3]);
            reporter.stop();
            zim.says(3, 3, new JSONObject());
            reporter.apiError("queryUsersInfo", 6000121, "not logged in");
            System.in.read(); // longer than the interval of heartbeats
            zim.says(2, 0, new JSONObject());
            reporter.start();
            reporter.logout(zim);
        } else if (scenario.equals("bounded")) {
            for (int count = 0; count < 50; count++) zim.says(3, 3, new JSONObject());
        }
        for (int left = options.endpoint.endsWith(":9") ? 20 : 3000; left > 0 && reporter.waiting() > 0; left--) {
            Thread.sleep(10);
        }
        JSONObject report = new JSONObject().put("empty", reporter.waiting() == 0).put("dropped", reporter.dropped());
        System.out.print(report.put("handled", handled));
    }

    private static void login(ZimwatchReporter reporter, ZIM zim, String token) {
        ZIMLoginConfig config = new ZIMLoginConfig();
        config.userName = "Carol's nickname";
        config.token = token;
        reporter.login(zim, "carol", config, null);
    }
}
