// Reports what the ZIM Unity SDK says about its connection to a Zimwatch server: wire version 1, no dependency.
//
//   var reporter = new ZimwatchReporter(options);   // once a process, before ZIM.Create()
//   zim.onConnectionStateChanged = (from, state, connectionEvent, extendedData) =>
//   {
//       reporter.ConnectionStateChanged(state.ToString(), connectionEvent.ToString(), extendedData);
//       // and what your app does
//   };
//   zim.onTokenWillExpire = (from, second) => reporter.TokenWillExpire(second);
//   var login = reporter.LoginCalled(userInfo.userID, token, false);
//   zim.Login(userInfo, token, error => reporter.LoginEnded(login, (int)error.code, error.message));
//
// Events are recorded before your handler or the SDK's call runs, go out in batches on a thread of their own, and wait in
// a file while the server is away. Of a token its expiry alone is read; tokens and names are never sent.
// Nothing here needs UnityEngine, so that it can be compiled and tried without the editor.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Threading;

public sealed class ZimwatchReporter : IDisposable
{
    public sealed class Options
    {
        public string Endpoint; // the server's address: https://zimwatch.example.com
        public string IngestToken;
        public ulong AppId;
        public string Platform; // a ZIMPlatformType by its name: Android, IPhoneOS, Win, MacOS
        public string SdkVersion;
        public string AppVersion;
        public string DeviceId;
        public string QueueFile; // of this process alone, in Application.persistentDataPath
        public int MostEvents = 2000; // past that the oldest go
        public int HeartbeatMs = 15000; // 0: none
        public int FirstRetryMs = 1000;
    }

    // What a call of Login belongs to, from the call to Disconnected.
    public sealed class Session
    {
        internal readonly string Id = Uuid();
        internal string UserId;
        internal bool Ended;
    }

    struct Answer
    {
        public int Status; // 0: the server was not reached
        public string Body;
        public int RetryAfterMs;
    }

    const int BatchEvents = 100, GatherMs = 50, AnswerMs = 10000, LongestRetryMs = 30000, RefusedRetryMs = 300000;
    const int LongestText = 65536;

    readonly Options options;
    readonly string clientId = Uuid();
    readonly object mutex = new object();
    readonly LinkedList<string> queue = new LinkedList<string>(); // JSON; the file holds the same
    readonly Random random = new Random();
    readonly Thread sender;
    Session session; // of the newest login that may be under way; stays in place after its end
    string state;
    long seq;
    int inFlight, batch = BatchEvents, failures, dropped;
    volatile bool stopping;

    public ZimwatchReporter(Options options)
    {
        this.options = options;
        Quietly(() =>
        {
            foreach (var line in File.ReadAllLines(options.QueueFile))
                if (line.StartsWith("{") && line.EndsWith("}")) queue.AddLast(line); // not one that was cut off
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
            Record(session, "connection_state_changed", "state", state, "event", connectionEvent, "extended_data", extendedData ?? "");
            if (session != null && state == "Disconnected") session.Ended = true;
        }
    }

    // A dictionary is what the SDK hands over; it is sent as the JSON object that it came from.
    public void ConnectionStateChanged(string state, string connectionEvent, IDictionary<string, string> extendedData)
    {
        var parts = new List<string>();
        if (extendedData != null)
            foreach (var pair in extendedData) parts.Add(Json(pair.Key) + ":" + Json(pair.Value));
        ConnectionStateChanged(state, connectionEvent, "{" + string.Join(",", parts) + "}");
    }

    // The SDK's uint is negative for a token that has ended.
    public void TokenWillExpire(uint second)
    {
        lock (mutex) Record(session, "token_will_expire", "second", unchecked((int)second));
    }

    // Before the call of Login. A second login of the same user joins the first; the SDK refuses one for another user.
    public Session LoginCalled(string userId, string token, bool isOfflineLogin)
    {
        lock (mutex)
        {
            var live = session != null && !session.Ended;
            var of = live && session.UserId == userId ? session : new Session { UserId = userId };
            if (!live)
            {
                session = of;
                state = null;
            }
            Record(of, "login", "offline_login", isOfflineLogin, "token_expires_at", ExpiryOf(token));
            return of;
        }
    }

    // In its callback: code is (int)errorInfo.code.
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
        lock (mutex) Record(session, "logout");
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

    public int Waiting { get { lock (mutex) return queue.Count; } }

    public int Dropped { get { lock (mutex) return dropped; } }

    string Made(Session of, string type, params object[] fields)
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
        for (var at = 0; at < all.Count; at += 2) text.Append(',').Append(Json(all[at])).Append(':').Append(Json(all[at + 1]));
        return text.Append('}').ToString();
    }

    void Record(Session of, string type, params object[] fields)
    {
        queue.AddLast(Made(of, type, fields));
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
        var idleMs = options.HeartbeatMs > 0 ? options.HeartbeatMs : Timeout.Infinite;
        while (!stopping)
        {
            string beat = null;
            lock (mutex)
            {
                var quiet = queue.Count == 0 && !Monitor.Wait(mutex, idleMs) && queue.Count == 0;
                if (quiet && session != null && !session.Ended && state != null) beat = Made(session, "heartbeat", "state", state);
                if (queue.Count == 0 && beat == null) continue;
            }
            if (beat != null) Post("[" + beat + "]"); // one that is lost is no loss: another follows
            else
            {
                Thread.Sleep(GatherMs); // a call and the callbacks inside it travel together
                Pause(Send());
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

    // One batch; gives how long to wait before the next.
    int Send()
    {
        var some = new List<string>();
        lock (mutex)
        {
            foreach (var each in queue) if (some.Count < batch) some.Add(each);
            inFlight = some.Count; // what overflow drops meanwhile is taken off
        }
        var answer = Post("[" + string.Join(",", some) + "]");
        lock (mutex)
        {
            // Whatever stands between may answer 200 as well; only the server itself says how many it took.
            var taken = answer.Status == 200 && answer.Body.Contains("\"accepted\"");
            var never = answer.Status == 400 || answer.Status == 413;
            if (never && some.Count > 1)
            {
                batch = (some.Count + 1) / 2; // half of it may pass; what is refused all alone will be refused for ever
                return 0;
            }
            if (taken || never)
            {
                if (never) dropped++;
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

    Answer Post(string body)
    {
        var answer = new Answer { Body = "" };
        HttpWebResponse response = null;
        Quietly(() =>
        {
            var request = (HttpWebRequest)WebRequest.Create(options.Endpoint + "/v1/events");
            request.Method = "POST";
            request.ContentType = "application/json";
            request.Timeout = request.ReadWriteTimeout = AnswerMs;
            request.AllowAutoRedirect = false; // a redirect is no delivery
            if (options.IngestToken != null) request.Headers["Authorization"] = "Bearer " + options.IngestToken;
            var bytes = Encoding.UTF8.GetBytes(body); // half a surrogate pair becomes U+FFFD
            using (var stream = request.GetRequestStream()) stream.Write(bytes, 0, bytes.Length);
            response = (HttpWebResponse)request.GetResponse();
        }, error => response = error.Response as HttpWebResponse);
        if (response == null) return answer;
        using (response)
        {
            answer.Status = (int)response.StatusCode;
            int seconds;
            if (int.TryParse(response.Headers["Retry-After"], out seconds)) answer.RetryAfterMs = Math.Min(seconds, 300) * 1000;
            Quietly(() => answer.Body = new StreamReader(response.GetResponseStream()).ReadToEnd());
        }
        return answer;
    }

    void Save() // whole or not at all
    {
        Quietly(() =>
        {
            var fresh = options.QueueFile + ".new";
            File.WriteAllLines(fresh, queue);
            if (File.Exists(options.QueueFile)) File.Replace(fresh, options.QueueFile, null);
            else File.Move(fresh, options.QueueFile);
        });
    }

    // An error of the reporter's own never reaches the app: with a full disk what waits is still in memory.
    static void Quietly(Action work, Action<WebException> onAnswer = null)
    {
        try
        {
            work();
        }
        catch (WebException error)
        {
            if (onAnswer != null) onAnswer(error);
        }
        catch (Exception)
        {
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
            if (sign == '"' || sign == '\\') quoted.Append('\\').Append(sign);
            else if (sign < ' ') quoted.Append("\\u").Append(((int)sign).ToString("x4"));
            else quoted.Append(sign);
        }
        return quoted.Append('"').ToString();
    }

    static string Time(DateTime utc) // RFC 3339
    {
        return utc.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
    }

    // UUID version 7 (RFC 9562): milliseconds first, so that ids sort by time.
    static string Uuid()
    {
        var bytes = new byte[10];
        using (var source = RandomNumberGenerator.Create()) source.GetBytes(bytes);
        bytes[0] = (byte)(bytes[0] & 0x0f | 0x70);
        bytes[2] = (byte)(bytes[2] & 0x3f | 0x80);
        var ms = (long)(DateTime.UtcNow - new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc)).TotalMilliseconds;
        var hex = ms.ToString("x12") + BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
        return hex.Insert(20, "-").Insert(16, "-").Insert(12, "-").Insert(8, "-");
    }

    // A Token04 is "04" and base64, whose first eight bytes are the expiry in Unix seconds, big-endian, in the clear.
    static string ExpiryOf(string token)
    {
        if (token == null || token.Length < 14 || !token.StartsWith("04", StringComparison.Ordinal)) return null;
        try
        {
            var seconds = 0L;
            var bytes = Convert.FromBase64String(token.Substring(2, 12));
            for (var at = 0; at < 8; at++) seconds = seconds << 8 | bytes[at];
            var likely = seconds >= 946684800 && seconds < 7258118400; // the years 2000 to 2199
            return likely ? Time(new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddSeconds(seconds)) : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }
}
