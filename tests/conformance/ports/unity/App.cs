// An app with the Unity reporter on a fake SDK. Arguments: scenario, endpoint, the queue's file, a Token04.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;

// Fakes the part of the ZIM Unity SDK that apps use, with its names and signatures.
enum ZIMConnectionState { Disconnected, Connecting, Connected, Reconnecting }
enum ZIMConnectionEvent { Success, ActiveLogin, LoginTimeout, LoginInterrupted, KickedOut, TokenExpired }
enum ZIMErrorCode { Success }
class ZIMUserInfo { public string userID = "", userName = ""; }
class ZIMError { public ZIMErrorCode code = ZIMErrorCode.Success; public string message = ""; }

class ZIM
{
    public Action<ZIM, ZIMConnectionState, ZIMConnectionEvent, Dictionary<string, string>> onConnectionStateChanged;
    public Action<ZIM, uint> onTokenWillExpire;

    public void Login(ZIMUserInfo userInfo, string token, Action<ZIMError> callback)
    {
        Says(2, 0);
        callback(new ZIMError());
    }

    public void Logout() { Says(0, 0); }

    public void RenewToken(string token, Action<string, ZIMError> callback) { callback(token, new ZIMError()); }

    public void Says(int state, int connectionEvent, Dictionary<string, string> extendedData = null)
    {
        onConnectionStateChanged(this, (ZIMConnectionState)state, (ZIMConnectionEvent)connectionEvent, extendedData);
    }
}

static class App
{
    [DllImport("libc", EntryPoint = "_exit")]
    static extern void ExitAtOnce(int status);

    static void Main(string[] given)
    {
        var scenario = given[0];
        var options = new ZimwatchReporter.Options
        {
            Endpoint = given[1], AppId = 1234567890, Platform = "Win", SdkVersion = "2.18.0", AppVersion = "4.2", DeviceId = "port",
            QueueFile = given[2], FirstRetryMs = 20,
            MostEvents = scenario == "bounded" ? 10 : 2000, HeartbeatMs = scenario == "heart" || scenario == "silent" || scenario == "kit" || scenario == "consent" ? 30 : 15000,
        };
        if (scenario == "proof") options.Assertion = userId => "of " + userId;
        var handled = 0;
        var reporter = new ZimwatchReporter(options);
        var zim = new ZIM();
        zim.onConnectionStateChanged = (from, state, connectionEvent, extendedData) =>
        {
            reporter.ConnectionStateChanged(state.ToString(), connectionEvent.ToString(), extendedData);
            handled++;
        };
        zim.onTokenWillExpire = (from, second) =>
        {
            reporter.TokenWillExpire(second);
            handled++;
        };
        Action<string> logIn = token =>
        {
            var userInfo = new ZIMUserInfo { userID = "carol", userName = "Carol's nickname" };
            var login = reporter.LoginCalled(userInfo.userID, token, false);
            zim.Login(userInfo, token, error => reporter.LoginEnded(login, (int)error.code, error.message));
        };
        Action logOut = () =>
        {
            reporter.LogoutCalled();
            zim.Logout();
        };
        if (scenario == "life")
        {
            logIn(given[3]);
            zim.onTokenWillExpire(zim, unchecked((uint)-5));
            zim.RenewToken(given[3], (token, error) => reporter.TokenRenewed(token, (int)error.code));
            zim.Says(0, 4, new Dictionary<string, string> { { "message", "断线 🙂 \ud800" } });
            logIn("a secret");
            zim.Says(3, 3);
            zim.Says(3, 3);
            zim.Says(7, 9);
            reporter.ApiError("queryUsersInfo", 6000121, "not logged in");
            logOut();
        }
        else if (scenario == "proof")
        {
            foreach (var user in new[] { "alice", "bob" })
            {
                var login = reporter.LoginCalled(user, given[3], false);
                zim.Login(new ZIMUserInfo { userID = user }, given[3], error => reporter.LoginEnded(login, 0, ""));
                logOut();
            }
        }
        else if (scenario == "heart")
        {
            logIn(given[3]);
            Console.In.Read(); // until the test has heard enough
            logOut();
        }
        else if (scenario == "silent")
        {
            logIn(given[3]);
            zim.Says(3, 3);
            reporter.LogoutCalled();
            zim.Says(3, 3);
            Console.In.Read(); // a heartbeat would have come long before
        }
        else if (scenario == "kit")
        {
            zim.Says(1, 1);
            zim.Says(2, 0);
            reporter.LoggedIn("carol");
            reporter.LoggedIn("carol");
            Console.In.Read(); // until the test has heard enough
            reporter.LogoutCalled();
        }
        else if (scenario == "consent")
        {
            logIn(given[3]);
            reporter.Stop();
            zim.Says(3, 3);
            reporter.ApiError("queryUsersInfo", 6000121, "not logged in");
            Console.In.Read(); // a heartbeat would have come long before
            zim.Says(2, 0);
            reporter.Start();
            logOut();
        }
        else if (scenario == "bounded") for (var count = 0; count < 50; count++) zim.Says(3, 3);
        for (var left = options.Endpoint.EndsWith(":9") ? 20 : 3000; left > 0 && reporter.Waiting > 0; left--) Thread.Sleep(10);
        Console.Write("{{\"empty\":{0},\"dropped\":{1},\"handled\":{2}}}", reporter.Waiting == 0 ? "true" : "false", reporter.Dropped, handled);
        reporter.Dispose();
        Console.Out.Flush();
        // Not by returning: Mono 6.8 aborts the threads of its own pool then, and now and again dies of that with an assertion.
        ExitAtOnce(0);
    }
}
