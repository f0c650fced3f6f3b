// Reports the connection events of the ZIM Unity SDK to a Zimwatch server: wire version 1, no dependencies.
//
//   var reporter = new ZimwatchReporter(options);   // once a process, before ZIM.Create()
//   zim.onConnectionStateChanged = (from, state, connectionEvent, extendedData) =>
//       reporter.ConnectionStateChanged(state.ToString(), connectionEvent.ToString(), extendedData); // then your app's code
//   zim.onTokenWillExpire = (from, second) => reporter.TokenWillExpire(second);
//   var login = reporter.LoginCalled(userInfo.userID, token, false);
//   zim.Login(userInfo, token, error => reporter.LoginEnded(login, (int)error.code, error.message));
//   reporter.LoggedIn(userID);   // after a login by a UI kit
//
// Events are recorded before your handler or the SDK's call runs, are sent in batches by a thread, and wait in a file while
// the server is unreachable. Of a token only the expiry is read; tokens and names are never sent.
// Nothing here needs UnityEngine, so that it compiles without the editor.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;

public sealed class ZimwatchReporter : IDisposable
{
    public sealed class Options
    {
        public string Endpoint; // the server's address: https://zimwatch.example.com
        public string IngestToken, SdkVersion, AppVersion, DeviceId;
        public ulong AppId;
        public string Platform; // the name of a ZIMPlatformType: Android, IPhoneOS, Win, MacOS
        public string QueueFile; // used by this process alone, in Application.persistentDataPath
        public int MostEvents = 2000; // past this the oldest are dropped
        public int HeartbeatMs = 15000; // until the server requests another interval; 0: none
        public Action<string> Log = Console.Error.WriteLine; // called once, when an event is refused for good
        public int FirstRetryMs = 1000;
        // Your backend's assertion for a user whose events are about to be sent, or null; it vouches for the user. Called by
        // the sender's thread, and may wait for a request. Where it throws, the events wait.
        public Func<string, string> Assertion;
    }

    // One login, from the call to Disconnected, or to a Logout unless Connected follows.
    public sealed class Session
    {
        internal readonly string Id = Uuid();
        internal string UserId;
        internal bool Ended, Left; // Left: Logout was called, without a callback while reconnecting

        internal bool Live => !Ended && !Left;
    }

    struct Answer
    {
        public int Status; // 0: no connection
        public string Body;
        public int RetryAfterMs;
    }

    const int BatchEvents = 100, GatherMs = 50, AnswerMs = 10000, LongestRetryMs = 30000, RefusedRetryMs = 300000;
    const int LongestText = 65536, LongestHeartbeatS = 3600;
    const string Version = "1.0.0"; // of Zimwatch, at the time of copying
    static readonly DateTime Epoch = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    readonly Options options;
    readonly string clientId = Uuid();
    readonly object mutex = new object();
    readonly LinkedList<string> queue = new LinkedList<string>(); // JSON; the file holds the same
    readonly Random random = new Random();
    readonly Thread sender;
    Session session; // of the latest login; stays set after its end
    string state;
    object[] last; // of the last callback
    volatile int heartbeatMs;
    long seq;
    int inFlight, batch = BatchEvents, failures, dropped;
    bool refusalLogged;
    volatile bool stopping;
    bool stopped;

    public ZimwatchReporter(Options options)
    {
        this.options = options;
        heartbeatMs = options.HeartbeatMs;
        Quietly(() =>
        {
            foreach (var line in File.ReadAllLines(options.QueueFile))
                if (line.StartsWith("{") && line.EndsWith("}")) queue.AddLast(line); // complete lines only
        });
        sender = new Thread(Run) { IsBackground = true, Name = "Zimwatch" };
        sender.Start();
    }

    public void Dispose()
    {
        lock (mutex)
        {
            stopping = true;
            Monitor.PulseAll(mutex);
        }
    }

    // The first line of your handlers. Names are the SDK's enumerators: state.ToString().
    public void ConnectionStateChanged(string state, string connectionEvent, string extendedData)
    {
        lock (mutex)
        {
            this.state = state;
            last = new object[] { "state", state, "event", connectionEvent, "extended_data", extendedData ?? "" };
            Record(session, "connection_state_changed", last);
            if (session != null && state == "Disconnected") session.Ended = true;
            if (session != null && state == "Connected") session.Left = false; // the logout had no effect
        }
    }

    // The SDK passes a dictionary, which is sent as a JSON object.
    public void ConnectionStateChanged(string state, string connectionEvent, IDictionary<string, string> extendedData)
    {
        var parts = extendedData?.Select(pair => Json(pair.Key) + ":" + Json(pair.Value)) ?? new string[0];
        ConnectionStateChanged(state, connectionEvent, "{" + string.Join(",", parts) + "}");
    }

    // The SDK's uint is negative for an expired token.
    public void TokenWillExpire(uint second)
    {
        lock (mutex) Record(session, "token_will_expire", "second", unchecked((int)second));
    }

    // Before the call of Login. A second login of the same user joins the first; the SDK rejects one for another user.
    public Session LoginCalled(string userId, string token, bool isOfflineLogin)
    {
        lock (mutex)
        {
            var live = session != null && session.Live;
            var of = live && session.UserId == userId ? session : new Session { UserId = userId };
            if (!live) { session = of; state = null; }
            Record(of, "login", "offline_login", isOfflineLogin, "token_expires_at", ExpiryOf(token));
            return of;
        }
    }

    // In the callback of Login: code is (int)errorInfo.code.
    public void LoginEnded(Session of, int code, string message)
    {
        lock (mutex)
        {
            Record(of, "login_result", "code", code, "message", message ?? "");
            if (code != 0 && state != "Connected" && state != "Reconnecting") of.Ended = true;
        }
    }

    // Before the call of Logout.
    public void LogoutCalled()
    {
        lock (mutex)
        {
            Record(session, "logout");
            if (session != null) session.Left = true;
        }
    }

    // Records a login that was not made through here, as by a UI kit, and repeats the last callback for this user.
    // Does nothing while that login lasts.
    public void LoggedIn(string userId)
    {
        lock (mutex)
        {
            if (session != null && session.Live && session.UserId == userId) return;
            session = new Session { UserId = userId };
            Record(session, "login", "offline_login", false, "token_expires_at", null);
            Record(session, "login_result", "code", 0, "message", "");
            if (state != null && state != "Disconnected") Record(session, "connection_state_changed", last);
            else state = null;
        }
    }

    // In the callback of RenewToken, with the token that it was called with.
    public void TokenRenewed(string token, int code)
    {
        lock (mutex) Record(session, "token_renewed", "code", code, "token_expires_at", code == 0 ? ExpiryOf(token) : null);
    }

    public void ApiError(string method, int code, string message)
    {
        lock (mutex) Record(session, "api_error", "method", method, "code", code, "message", message ?? "");
    }

    // Records and sends nothing more, and discards the queue: for users who withdraw their consent.
    public void Stop()
    {
        lock (mutex)
        {
            stopped = true;
            queue.Clear();
            inFlight = 0;
            Save();
        }
    }

    // Records again, beginning with the SDK's present state.
    public void Start()
    {
        lock (mutex)
        {
            stopped = false;
            if (session != null && session.Live && state != null) Record(session, "connection_state_changed", last);
        }
    }

    public int Waiting { get { lock (mutex) return queue.Count; } }
    public int Dropped { get { lock (mutex) return dropped; } }

    string EventJson(Session of, string type, params object[] fields)
    {
        var all = new List<object>
        {
            "id", Uuid(), "type", type, "occurred_at", Time(DateTime.UtcNow), "client_id", clientId, "seq", ++seq,
            "session_id", of == null ? null : of.Id, "app_id", options.AppId,
            "user_id", of == null || string.IsNullOrEmpty(of.UserId) ? null : of.UserId, "platform", options.Platform,
            "app_version", options.AppVersion, "device_id", options.DeviceId,
        };
        all.AddRange(fields);
        var text = new StringBuilder("{\"sdk\":{\"name\":\"zim-unity\",\"version\":" + Json(options.SdkVersion) + "}");
        text.Append(",\"reporter\":{\"name\":\"zimwatch-unity\",\"version\":" + Json(Version) + "}");
        for (var at = 0; at < all.Count; at += 2) text.Append(',').Append(Json(all[at])).Append(':').Append(Json(all[at + 1]));
        return text.Append('}').ToString();
    }

    void Record(Session of, string type, params object[] fields)
    {
        if (stopped) return;
        queue.AddLast(EventJson(of, type, fields));
        if (queue.Count > options.MostEvents)
        {
            queue.RemoveFirst();
            inFlight = Math.Max(0, inFlight - 1);
            dropped++;
            Save();
        }
        else Quietly(() => File.AppendAllText(options.QueueFile, queue.Last.Value + "\n"));
        Monitor.PulseAll(mutex);
    }

    void Run()
    {
        while (!stopping)
        {
            string heartbeat = null;
            var waitMs = heartbeatMs * (0.8 + random.NextDouble() / 5); // so that many clients do not send together
            var idleMs = options.HeartbeatMs > 0 ? (int)waitMs : Timeout.Infinite;
            lock (mutex)
            {
                var quiet = queue.Count == 0 && !Monitor.Wait(mutex, idleMs) && queue.Count == 0;
                if (quiet && !stopped && session != null && session.Live && state != null) heartbeat = EventJson(session, "heartbeat", "state", state);
                if (queue.Count == 0 && heartbeat == null) continue;
            }
            if (heartbeat == null) Thread.Sleep(GatherMs); // batches a call with the callbacks inside it
            if (heartbeat == null) Pause(Send());
            else
            {
                var answer = Post("[" + heartbeat + "]", UserOf(heartbeat)); // not retried: another follows
                HandleAnswer(answer);
                Pause(answer.RetryAfterMs);
            }
        }
    }

    void Pause(int ms)
    {
        var until = DateTime.UtcNow.AddMilliseconds(ms);
        lock (mutex)
            for (var left = ms; !stopping && left > 0; left = (int)Math.Min(left, (until - DateTime.UtcNow).TotalMilliseconds))
                Monitor.Wait(mutex, left);
    }

    // Handles the answer; false if the server did not accept the request.
    bool HandleAnswer(Answer answer)
    {
        // A proxy may answer 200 too; only the server itself returns how many it accepted.
        if (answer.Status != 200 || !answer.Body.Contains("\"accepted\"")) return false;
        lock (mutex)
        {
            var afterS = Number(answer.Body, "heartbeat_after_s");
            if (afterS >= 1 && afterS <= LongestHeartbeatS) heartbeatMs = (int)(afterS * 1000);
            var count = Regex.Matches(answer.Body, "\"index\"\\s*:").Count + (int)Number(answer.Body, "rejected_more");
            if (count > 0) Refused(Regex.Match(answer.Body, "\"error\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"").Groups[1].Value, count);
        }
        return true;
    }

    static double Number(string json, string name)
    {
        var text = Regex.Match(json, "\"" + name + "\"\\s*:\\s*([0-9.]{1,9})").Groups[1].Value;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : 0;
    }

    // Counts events that are refused for good, and logs the first.
    void Refused(string why, int count)
    {
        dropped += count;
        if (!refusalLogged) Quietly(() => options.Log("Zimwatch: the server refused an event (" + why + ")"));
        refusalLogged = true;
    }

    // Sends one batch; returns the pause before the next.
    int Send()
    {
        string[] some;
        string user = null;
        lock (mutex)
        {
            // An assertion is of one user.
            some = queue.Take(batch).TakeWhile(one => UserOf(one) == null || UserOf(one) == (user = user ?? UserOf(one))).ToArray();
            inFlight = some.Length; // minus what overflow drops meanwhile
            if (some.Length == 0) return 0; // discarded meanwhile
        }
        var answer = Post("[" + string.Join(",", some) + "]", user);
        lock (mutex)
        {
            var accepted = HandleAnswer(answer);
            var never = answer.Status == 400 || answer.Status == 413;
            if (never && some.Length > 1)
            {
                batch = (some.Length + 1) / 2; // half may pass; an event refused alone is refused for ever
                return 0;
            }
            if (accepted || never)
            {
                if (never) Refused(answer.Status.ToString(), 1);
                for (; inFlight > 0; inFlight--) queue.RemoveFirst();
                Save();
                failures = 0;
                batch = Math.Min(BatchEvents, batch * 2);
                return 0;
            }
            var refused = answer.Status > 400 && answer.Status < 500 && answer.Status != 429;
            var full = (int)Math.Min((long)options.FirstRetryMs << Math.Min(failures++, 10), refused ? RefusedRetryMs : LongestRetryMs);
            return Math.Max(full / 2 + random.Next(full / 2 + 1), Math.Min(answer.RetryAfterMs, RefusedRetryMs));
        }
    }

    // The user of an event; null without one, and where nobody vouches for users.
    string UserOf(string json)
    {
        if (options.Assertion == null) return null;
        var found = Regex.Match(json, "\"user_id\":\"((?:[^\"\\\\]|\\\\.)*)\"");
        return found.Success ? Regex.Unescape(found.Groups[1].Value) : null;
    }

    Answer Post(string body, string user)
    {
        var answer = new Answer { Body = "" };
        HttpWebResponse response = null;
        Quietly(() =>
        {
            // From sent_at the server corrects the times of a wrong clock.
            var url = options.Endpoint + "/v1/events?sent_at=" + Time(DateTime.UtcNow);
            var request = (HttpWebRequest)WebRequest.Create(url);
            request.Method = "POST";
            request.ContentType = "application/json";
            request.Timeout = request.ReadWriteTimeout = AnswerMs;
            request.AllowAutoRedirect = false; // a redirect is not a delivery
            if (options.IngestToken != null) request.Headers["Authorization"] = "Bearer " + options.IngestToken;
            var proof = user == null ? null : options.Assertion(user);
            if (proof != null) request.Headers["Zimwatch-Assertion"] = proof;
            var bytes = Encoding.UTF8.GetBytes(body); // a lone surrogate becomes U+FFFD
            using (var stream = request.GetRequestStream()) stream.Write(bytes, 0, bytes.Length);
            response = (HttpWebResponse)request.GetResponse();
        }, error => response = error.Response as HttpWebResponse);
        if (response == null) return answer;
        using (response)
        {
            answer.Status = (int)response.StatusCode;
            if (int.TryParse(response.Headers["Retry-After"], out var seconds)) answer.RetryAfterMs = Math.Min(seconds, 300) * 1000;
            Quietly(() => answer.Body = new StreamReader(response.GetResponseStream()).ReadToEnd());
        }
        return answer;
    }

    void Save() // atomic
    {
        Quietly(() =>
        {
            var fresh = options.QueueFile + ".new";
            File.WriteAllLines(fresh, queue);
            if (File.Exists(options.QueueFile)) File.Replace(fresh, options.QueueFile, null);
            else File.Move(fresh, options.QueueFile);
        });
    }

    // An error of the reporter never reaches the app; on a full disk the queue is still in memory.
    static void Quietly(Action work, Action<WebException> onAnswer = null)
    {
        try
        {
            work();
        }
        catch (Exception error)
        {
            if (error is WebException refusal) onAnswer?.Invoke(refusal);
        }
    }

    static string Json(object value)
    {
        if (value == null) return "null";
        if (value is bool) return (bool)value ? "true" : "false";
        var text = value as string;
        if (text == null) return Convert.ToString(value, CultureInfo.InvariantCulture);
        var quoted = new StringBuilder("\"");
        foreach (var sign in text.Length > LongestText ? text.Substring(0, LongestText) : text)
        {
            if (sign < ' ') quoted.Append("\\u").Append(((int)sign).ToString("x4"));
            else quoted.Append(sign == '"' || sign == '\\' ? "\\" : "").Append(sign);
        }
        return quoted.Append('"').ToString();
    }

    // RFC 3339.
    static string Time(DateTime utc) => utc.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    // UUID version 7 (RFC 9562): milliseconds first, so that ids sort by time.
    static string Uuid()
    {
        var bytes = new byte[10];
        using (var source = RandomNumberGenerator.Create()) source.GetBytes(bytes);
        bytes[0] = (byte)(bytes[0] & 0x0f | 0x70);
        bytes[2] = (byte)(bytes[2] & 0x3f | 0x80);
        var ms = (long)(DateTime.UtcNow - Epoch).TotalMilliseconds;
        var hex = Math.Max(0, ms).ToString("x12") + BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
        return hex.Insert(20, "-").Insert(16, "-").Insert(12, "-").Insert(8, "-");
    }

    // A Token04 is "04" and base64; the first eight bytes are the expiry in Unix seconds, big-endian, unencrypted.
    static string ExpiryOf(string token)
    {
        if (token == null || token.Length < 14 || !token.StartsWith("04", StringComparison.Ordinal)) return null;
        var seconds = 0L;
        Quietly(() =>
        {
            foreach (var each in Convert.FromBase64String(token.Substring(2, 12)).Take(8)) seconds = seconds << 8 | each;
        });
        var likely = seconds >= 946684800 && seconds < 7258118400; // the years 2000 to 2199
        return likely ? Time(Epoch.AddSeconds(seconds)) : null;
    }
}
