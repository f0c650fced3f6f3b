package com.example.zimwatch; // yours

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.text.SimpleDateFormat;
import java.util.ArrayDeque;
import java.util.Date;
import java.util.Iterator;
import java.util.Locale;
import java.util.TimeZone;
import java.util.UUID;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

import im.zego.zim.ZIM;
import im.zego.zim.callback.ZIMLoggedInCallback;
import im.zego.zim.callback.ZIMTokenRenewedCallback;
import im.zego.zim.entity.ZIMLoginConfig;

/**
 * Reports the connection events of the ZIM Android SDK to a Zimwatch server: wire version 1, no dependencies.
 *
 * <pre>
 * reporter = new ZimwatchReporter(options);           // once a process, before ZIM.create()
 * zim.setEventHandler(new MyHandler(reporter));       // MyHandler extends ZimwatchEventHandler, and calls super
 * reporter.login(zim, userID, config, callback);      // for zim.login(userID, config, callback)
 * reporter.logout(zim);                               // for zim.logout()
 * reporter.renewToken(zim, token, callback);          // for zim.renewToken(token, callback)
 * reporter.loggedIn(userID);                          // after a login by a UI kit
 * </pre>
 *
 * Events are recorded before the SDK's call runs, are sent in batches by a thread, and wait in a file while the
 * server is unreachable. Of a token only the expiry is read; tokens and names are never sent. Nothing here throws.
 */
public final class ZimwatchReporter {
    public static final class Options {
        public String endpoint; // the server's address: https://zimwatch.example.com
        public long appID;
        public String ingestToken, appVersion, deviceId;
        public String sdkVersion = ZIM.getVersion();
        public File queueFile; // used by this process alone, say new File(context.getNoBackupFilesDir(), "zimwatch-queue")
        public int mostEvents = 2000; // past this the oldest are dropped
        public long heartbeatMs = 15_000; // until the server requests another interval; 0: none
        public long firstRetryMs = 1_000;
        public Backend assertion; // vouches for users; null: nobody does
    }

    /** Your app's backend, which vouches for its users. Called by the sender's thread, and may wait for a request. */
    public interface Backend {
        /** The assertion for this user, whose events are about to be sent, or null. Where it throws, the events wait. */
        String assertionFor(String userID) throws Exception;
    }

    /** One login, from the call to DISCONNECTED, or to a logout unless CONNECTED follows. */
    public static final class Session {
        final String id = uuid();
        final String userID;
        boolean ended, left; // left: logout was called, without a callback while reconnecting

        Session(String userID) {
            this.userID = userID;
        }

        boolean live() {
            return !ended && !left;
        }
    }

    private static final String VERSION = "1.0.0"; // of Zimwatch, at the time of copying
    private static final long GATHER_MS = 50, LONGEST_RETRY_MS = 30_000, REFUSED_RETRY_MS = 300_000;
    private static final int ANSWER_MS = 10_000, BATCH_EVENTS = 100, LONGEST_TEXT = 65_536, LONGEST_HEARTBEAT_S = 3_600;

    private final Options options;
    private final String clientID = uuid();
    private final ScheduledThreadPoolExecutor sender; // one thread, for all requests
    private final ArrayDeque<String> queue = new ArrayDeque<>(); // JSON; the file holds the same
    private ScheduledFuture<?> next, heart;
    private volatile long heldUntilNs = System.nanoTime();
    private Session session; // of the latest login; stays set after its end
    private String state, event, extendedData; // of the last callback
    private volatile long heartbeatMs;
    private boolean refusalLogged, stopped;
    private long seq;
    private int inFlight, failures, dropped, batch = BATCH_EVENTS;

    public ZimwatchReporter(Options options) {
        this.options = options;
        sender = new ScheduledThreadPoolExecutor(1, task -> {
            Thread thread = new Thread(task, "zimwatch");
            thread.setDaemon(true);
            return thread;
        });
        load();
        schedule(0);
        scheduleHeartbeat(options.heartbeatMs);
    }

    /** Call it first in your onConnectionStateChanged, with names: obfuscated builds keep those of enums. */
    public synchronized void connectionStateChanged(String state, String event, String extendedData) {
        this.state = state;
        this.event = event;
        this.extendedData = text(extendedData);
        recordConnection(session);
        if (session != null && state.equals("DISCONNECTED")) session.ended = true;
        if (session != null && state.equals("CONNECTED")) session.left = false; // the logout had no effect
    }

    private void recordConnection(Session of) {
        record(of, "connection_state_changed", "state", state, "event", event, "extended_data", extendedData);
    }

    public synchronized void tokenWillExpire(int second) {
        record(session, "token_will_expire", "second", second);
    }

    public synchronized void apiError(String method, int code, String message) {
        record(session, "api_error", "method", method, "code", code, "message", text(message));
    }

    public void login(ZIM zim, String userID, ZIMLoginConfig config, ZIMLoggedInCallback callback) {
        Session of = loginCalled(userID, config.token, config.isOfflineLogin);
        zim.login(userID, config, error -> {
            loginEnded(of, error.code.value(), error.message);
            if (callback != null) callback.onLoggedIn(error);
        });
    }

    public void logout(ZIM zim) {
        logoutCalled();
        zim.logout();
    }

    /**
     * Records a login that was not made through here, as by a UI kit, and repeats the last callback for this user.
     * Does nothing while that login lasts.
     */
    public synchronized void loggedIn(String userID) {
        if (session != null && session.live() && session.userID.equals(userID)) return;
        session = new Session(userID);
        record(session, "login", "offline_login", false, "token_expires_at", null);
        record(session, "login_result", "code", 0, "message", "");
        if (state != null && !state.equals("DISCONNECTED")) recordConnection(session);
        else state = null;
    }

    public void renewToken(ZIM zim, String token, ZIMTokenRenewedCallback callback) {
        zim.renewToken(token, (renewed, error) -> {
            synchronized (this) {
                int code = error.code.value();
                record(session, "token_renewed", "code", code, "token_expires_at", code == 0 ? expiryOf(token) : null);
            }
            if (callback != null) callback.onTokenRenewed(renewed, error);
        });
    }

    /** Records and sends nothing more, and discards the queue: for users who withdraw their consent. */
    public synchronized void stop() {
        stopped = true;
        queue.clear();
        inFlight = 0;
        save();
    }

    /** Records again, beginning with the SDK's present state. */
    public synchronized void start() {
        stopped = false;
        if (session != null && session.live() && state != null) recordConnection(session);
    }

    /** The number of queued events. */
    public synchronized int waiting() {
        return queue.size();
    }

    public synchronized int dropped() {
        return dropped;
    }

    /** A second login of the same user joins the first; the SDK rejects one for another user. */
    public synchronized Session loginCalled(String userID, String token, boolean offline) {
        boolean live = session != null && session.live();
        Session of = live && session.userID.equals(userID) ? session : new Session(userID);
        if (!live) session = of;
        if (!live) state = null;
        record(of, "login", "offline_login", offline, "token_expires_at", expiryOf(token));
        return of;
    }

    public synchronized void loginEnded(Session of, int code, String message) {
        record(of, "login_result", "code", code, "message", text(message));
        if (code != 0 && !"CONNECTED".equals(state) && !"RECONNECTING".equals(state)) of.ended = true;
    }

    /** Call it before a logout that is not made through here. */
    public synchronized void logoutCalled() {
        record(session, "logout");
        if (session != null) session.left = true;
    }

    private synchronized void scheduleHeartbeat(long everyMs) {
        if (options.heartbeatMs <= 0 || sender.isShutdown()) return;
        heartbeatMs = everyMs;
        if (heart != null) heart.cancel(false);
        // By chance, so that many clients do not send together, and never later than requested.
        long waitMs = (long) (everyMs * (0.8 + Math.random() / 5));
        heart = sender.schedule(() -> { sendHeartbeat(); scheduleHeartbeat(heartbeatMs); }, waitMs, TimeUnit.MILLISECONDS);
    }

    private void sendHeartbeat() {
        String heartbeat;
        synchronized (this) {
            // A queued event serves as a sign of life.
            if (stopped || session == null || !session.live() || state == null || !queue.isEmpty() || heldMs() > 0) return;
            heartbeat = json(session, "heartbeat", "state", state);
        }
        handleAnswer(post("[" + heartbeat + "]", userOf(heartbeat))); // not retried: another follows
    }

    /** Handles the answer; false if the server did not accept the request. */
    private synchronized boolean handleAnswer(Answer answer) {
        // A proxy may answer 200 too; only the server itself returns how many it accepted.
        if (answer.status != 200) return false;
        try {
            JSONObject result = new JSONObject(answer.body);
            result.getInt("accepted");
            double afterS = result.optDouble("heartbeat_after_s", 0);
            long afterMs = Math.round(afterS * 1000);
            if (afterS >= 1 && afterS <= LONGEST_HEARTBEAT_S && afterMs != heartbeatMs) scheduleHeartbeat(afterMs);
            JSONArray rejected = result.optJSONArray("rejected");
            int count = rejected == null ? 0 : rejected.length();
            if (count > 0) refused(rejected.getJSONObject(0).optString("error"), count + result.optInt("rejected_more"));
            return true;
        } catch (JSONException error) {
            return false;
        }
    }

    /** Counts events that are refused for good, and logs the first. */
    private void refused(Object why, int count) {
        dropped += count;
        if (!refusalLogged) System.err.println("Zimwatch: the server refused an event (" + why + ")");
        refusalLogged = true;
    }

    private String json(Session of, String type, Object... fields) {
        JSONObject event = new JSONObject();
        try {
            event.put("id", uuid()).put("type", type).put("occurred_at", time(System.currentTimeMillis()));
            event.put("client_id", clientID).put("seq", ++seq).put("app_id", options.appID);
            event.put("session_id", of == null ? JSONObject.NULL : of.id);
            event.put("user_id", of == null || of.userID.isEmpty() ? JSONObject.NULL : text(of.userID));
            event.put("platform", "Android").putOpt("app_version", options.appVersion).putOpt("device_id", options.deviceId);
            event.put("reporter", new JSONObject().put("name", "zimwatch-android").put("version", VERSION));
            event.put("sdk", new JSONObject().put("name", "zim-android").putOpt("version", options.sdkVersion));
            for (int at = 0; at < fields.length; at += 2) {
                event.put((String) fields[at], fields[at + 1] == null ? JSONObject.NULL : fields[at + 1]);
            }
        } catch (JSONException error) { // only for NaN and infinity, which do not occur
            throw new IllegalStateException(error);
        }
        return event.toString();
    }

    private void record(Session of, String type, Object... fields) {
        if (stopped) return;
        queue.add(json(of, type, fields));
        if (queue.size() > options.mostEvents) {
            queue.remove();
            inFlight = Math.max(0, inFlight - 1);
            dropped++;
            save();
        } else {
            write(options.queueFile, queue.peekLast() + "\n", true);
        }
        if (next == null) schedule(GATHER_MS); // batches a call with the callbacks inside it
    }

    /** How long the server wants nothing to be sent, by its Retry-After; heartbeats neither. */
    private long heldMs() {
        return (heldUntilNs - System.nanoTime()) / 1_000_000;
    }

    private synchronized void schedule(long afterMs) {
        next = queue.isEmpty() ? null : sender.schedule(this::send, Math.max(afterMs, heldMs()), TimeUnit.MILLISECONDS);
    }

    private void send() {
        StringBuilder body = new StringBuilder();
        String user = null;
        int sent = 0;
        synchronized (this) {
            if (queue.isEmpty()) { // discarded meanwhile
                next = null;
                return;
            }
            for (Iterator<String> each = queue.iterator(); each.hasNext() && sent < batch; sent++) {
                String one = each.next(), own = userOf(one);
                if (user != null && own != null && !own.equals(user)) break; // an assertion is of one user
                if (own != null) user = own;
                body.append(sent == 0 ? "[" : ",").append(one);
            }
            inFlight = sent; // minus what overflow drops meanwhile
        }
        Answer answer = post(body + "]", user);
        synchronized (this) {
            boolean accepted = handleAnswer(answer);
            boolean never = answer.status == 400 || answer.status == 413;
            if (never && sent > 1) {
                batch = (sent + 1) / 2; // half may pass; an event refused alone is refused for ever
            } else if (accepted || never) {
                if (never) refused(answer.status, 1);
                for (; inFlight > 0; inFlight--) queue.remove();
                save();
                failures = 0;
                batch = Math.min(BATCH_EVENTS, batch * 2);
            } else {
                boolean refused = answer.status > 400 && answer.status < 500 && answer.status != 429;
                long most = refused ? REFUSED_RETRY_MS : LONGEST_RETRY_MS;
                long full = Math.min(options.firstRetryMs << Math.min(failures++, 10), most);
                long jittered = full / 2 + ThreadLocalRandom.current().nextLong(full / 2 + 1);
                schedule(jittered);
                return;
            }
            schedule(GATHER_MS);
        }
    }

    private static final class Answer {
        int status; // 0: no connection
        String body = "";
    }

    /** The user of an event; null without one, and where nobody vouches for users. */
    private String userOf(String event) {
        if (options.assertion == null) return null;
        try {
            JSONObject read = new JSONObject(event);
            return read.isNull("user_id") ? null : read.getString("user_id");
        } catch (JSONException error) {
            return null;
        }
    }

    private Answer post(String body, String userID) {
        Answer answer = new Answer();
        HttpURLConnection connection = null;
        try {
            String proof = userID == null ? null : options.assertion.assertionFor(userID);
            // From sent_at the server corrects the times of a wrong clock.
            URL url = new URL(options.endpoint + "/v1/events?sent_at=" + time(System.currentTimeMillis()));
            connection = (HttpURLConnection) url.openConnection();
            connection.setConnectTimeout(ANSWER_MS);
            connection.setReadTimeout(ANSWER_MS);
            connection.setInstanceFollowRedirects(false); // a redirect is not a delivery
            connection.setDoOutput(true);
            connection.setRequestProperty("Content-Type", "application/json");
            if (options.ingestToken != null) connection.setRequestProperty("Authorization", "Bearer " + options.ingestToken);
            if (proof != null) connection.setRequestProperty("Zimwatch-Assertion", proof);
            try (OutputStream out = connection.getOutputStream()) {
                out.write(body.getBytes(StandardCharsets.UTF_8)); // a lone surrogate becomes a question mark
            }
            answer.status = connection.getResponseCode();
            String after = connection.getHeaderField("Retry-After");
            if (after != null && after.matches("\\d{1,9}")) {
                heldUntilNs = System.nanoTime() + Math.min(Long.parseLong(after) * 1000, REFUSED_RETRY_MS) * 1_000_000;
            }
            InputStream in = answer.status < 400 ? connection.getInputStream() : connection.getErrorStream();
            answer.body = in == null ? "" : read(in);
        } catch (Exception error) { // of the network, or of the app's backend
            answer.status = Math.max(answer.status, 0); // it is retried
        } finally {
            if (connection != null) connection.disconnect();
        }
        return answer;
    }

    private void load() {
        try {
            for (String line : read(new FileInputStream(options.queueFile)).split("\n")) {
                if (line.startsWith("{") && line.endsWith("}")) queue.add(line); // complete lines only
            }
        } catch (IOException error) {
            queue.clear(); // the first start
        }
    }

    private void save() { // atomic
        File fresh = new File(options.queueFile.getPath() + ".new");
        write(fresh, queue.isEmpty() ? "" : String.join("\n", queue) + "\n", false);
        if (!fresh.renameTo(options.queueFile)) fresh.delete();
    }

    private static void write(File file, String text, boolean append) {
        try (OutputStream out = new FileOutputStream(file, append)) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        } catch (IOException error) {
            // On a full disk the queue is still in memory.
        }
    }

    private static String read(InputStream in) throws IOException {
        try (InputStream from = in) {
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            byte[] some = new byte[8192];
            for (int count; (count = from.read(some)) >= 0; ) all.write(some, 0, count);
            return all.toString("UTF-8");
        }
    }

    private static String text(String value) {
        return value == null || value.length() <= LONGEST_TEXT ? value : value.substring(0, LONGEST_TEXT);
    }

    private static String time(long ms) { // RFC 3339, UTC
        SimpleDateFormat format = new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", Locale.ROOT);
        format.setTimeZone(TimeZone.getTimeZone("UTC"));
        return format.format(new Date(ms));
    }

    /** UUID version 7 (RFC 9562): milliseconds first, so that ids sort by time. */
    private static String uuid() {
        UUID random = UUID.randomUUID();
        long high = Math.max(0, System.currentTimeMillis()) << 16 | 0x7000 | (random.getMostSignificantBits() & 0xfff);
        return new UUID(high, random.getLeastSignificantBits()).toString();
    }

    /** A Token04 is "04" and base64; the first eight bytes are the expiry in Unix seconds, big-endian, unencrypted. */
    private static String expiryOf(String token) {
        if (token == null || !token.matches("(?s)04[A-Za-z0-9+/]{11}.*")) return null;
        long seconds = 0;
        for (int at = 2; at < 13; at++) { // eleven digits are 66 bits: drop two
            int digit = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".indexOf(token.charAt(at));
            seconds = at < 12 ? seconds << 6 | digit : seconds << 4 | digit >> 2;
        }
        boolean likely = seconds >= 946684800L && seconds < 7258118400L; // the years 2000 to 2199
        return likely ? time(seconds * 1000) : null;
    }
}
