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
import java.util.ArrayList;
import java.util.Date;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.TimeZone;
import java.util.UUID;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

import org.json.JSONException;
import org.json.JSONObject;

import im.zego.zim.ZIM;
import im.zego.zim.callback.ZIMLoggedInCallback;
import im.zego.zim.callback.ZIMTokenRenewedCallback;
import im.zego.zim.entity.ZIMLoginConfig;

/**
 * Reports what the ZIM Android SDK says about its connection to a Zimwatch server: wire version 1, no dependency.
 *
 * <pre>
 * reporter = new ZimwatchReporter(options);           // once a process, before ZIM.create()
 * zim.setEventHandler(new MyHandler(reporter));       // MyHandler extends ZimwatchEventHandler, and calls super
 * reporter.login(zim, userID, config, callback);      // for zim.login(userID, config, callback)
 * reporter.logout(zim);                               // for zim.logout()
 * reporter.renewToken(zim, token, callback);          // for zim.renewToken(token, callback)
 * </pre>
 *
 * Events are recorded before the SDK's call runs, go out in batches on a thread of their own, and wait in a file while
 * the server is away. Of a token its expiry alone is read; tokens and names are never sent. Nothing here throws.
 */
public final class ZimwatchReporter {
    public static final class Options {
        public String endpoint; // the server's address: https://zimwatch.example.com
        public String ingestToken;
        public long appID;
        public String sdkVersion = ZIM.getVersion();
        public String appVersion;
        public String deviceID;
        public File queueFile; // of this process alone, say new File(context.getNoBackupFilesDir(), "zimwatch-queue")
        public int mostEvents = 2000; // past that the oldest go
        public long heartbeatMs = 15_000; // 0: none
        public long firstRetryMs = 1_000;
    }

    /** What a call of login belongs to, from the call to DISCONNECTED. */
    static final class Session {
        final String id = uuid();
        final String userID;
        boolean ended;

        Session(String userID) {
            this.userID = userID;
        }
    }

    private static final int BATCH_EVENTS = 100;
    private static final long GATHER_MS = 50;
    private static final long LONGEST_RETRY_MS = 30_000;
    private static final long REFUSED_RETRY_MS = 300_000;
    private static final int ANSWER_MS = 10_000;
    private static final int LONGEST_TEXT = 65_536;

    private final Options options;
    private final String clientID = uuid();
    private final ScheduledThreadPoolExecutor sender; // one thread; it alone touches the network
    private final ArrayDeque<String> queue = new ArrayDeque<>(); // JSON; the file holds the same
    private ScheduledFuture<?> next;
    private Session session; // of the newest login that may be under way; stays in place after its end
    private String state;
    private long seq;
    private int inFlight;
    private int batch = BATCH_EVENTS;
    private int failures;
    private int dropped;

    public ZimwatchReporter(Options options) {
        this.options = options;
        sender = new ScheduledThreadPoolExecutor(1, task -> {
            Thread thread = new Thread(task, "zimwatch");
            thread.setDaemon(true);
            return thread;
        });
        load();
        schedule(0);
        if (options.heartbeatMs > 0) {
            sender.scheduleWithFixedDelay(this::beat, options.heartbeatMs, options.heartbeatMs, TimeUnit.MILLISECONDS);
        }
    }

    /** The first line of your onConnectionStateChanged: names, because an obfuscated build keeps those of enums. */
    public synchronized void connectionStateChanged(String state, String event, String extendedData) {
        this.state = state;
        record(session, "connection_state_changed", "state", state, "event", event, "extended_data", text(extendedData));
        if (session != null && state.equals("DISCONNECTED")) session.ended = true;
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
        synchronized (this) {
            record(session, "logout");
        }
        zim.logout();
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

    /** How many events still wait, and how many were given up. */
    public synchronized int waiting() {
        return queue.size();
    }

    public synchronized int dropped() {
        return dropped;
    }

    /** A second login of the same user joins the first; the SDK refuses one for another user, which has no callbacks. */
    private synchronized Session loginCalled(String userID, String token, boolean offline) {
        boolean live = session != null && !session.ended;
        Session of = live && session.userID.equals(userID) ? session : new Session(userID);
        if (!live) {
            session = of;
            state = null;
        }
        record(of, "login", "offline_login", offline, "token_expires_at", expiryOf(token));
        return of;
    }

    private synchronized void loginEnded(Session of, int code, String message) {
        record(of, "login_result", "code", code, "message", text(message));
        if (code != 0 && !"CONNECTED".equals(state) && !"RECONNECTING".equals(state)) of.ended = true;
    }

    private synchronized void beat() {
        // What waits will be a sign of life when it goes.
        if (session == null || session.ended || state == null || !queue.isEmpty()) return;
        String beat = made(session, "heartbeat", "state", state);
        sender.execute(() -> post("[" + beat + "]")); // one that is lost is no loss: another follows
    }

    private String made(Session of, String type, Object... fields) {
        JSONObject event = new JSONObject();
        try {
            event.put("id", uuid()).put("type", type).put("occurred_at", time(System.currentTimeMillis()));
            event.put("client_id", clientID).put("seq", ++seq).put("app_id", options.appID);
            event.put("session_id", of == null ? JSONObject.NULL : of.id);
            event.put("user_id", of == null || of.userID.isEmpty() ? JSONObject.NULL : text(of.userID));
            event.put("platform", "Android").putOpt("app_version", options.appVersion).putOpt("device_id", options.deviceID);
            event.put("sdk", new JSONObject().put("name", "zim-android").putOpt("version", options.sdkVersion));
            for (int at = 0; at < fields.length; at += 2) {
                event.put((String) fields[at], fields[at + 1] == null ? JSONObject.NULL : fields[at + 1]);
            }
        } catch (JSONException error) { // for numbers that are none; there are no such
            throw new IllegalStateException(error);
        }
        return event.toString();
    }

    private void record(Session of, String type, Object... fields) {
        queue.add(made(of, type, fields));
        if (queue.size() > options.mostEvents) {
            queue.remove();
            inFlight = Math.max(0, inFlight - 1);
            dropped++;
            save();
        } else {
            write(options.queueFile, queue.peekLast() + "\n", true);
        }
        if (next == null) schedule(GATHER_MS); // a call and the callbacks inside it travel together
    }

    private synchronized void schedule(long afterMs) {
        next = queue.isEmpty() ? null : sender.schedule(this::send, afterMs, TimeUnit.MILLISECONDS);
    }

    private void send() {
        StringBuilder body = new StringBuilder();
        int sent = 0;
        synchronized (this) {
            for (Iterator<String> each = queue.iterator(); each.hasNext() && sent < batch; sent++) {
                body.append(sent == 0 ? "[" : ",").append(each.next());
            }
            inFlight = sent; // what overflow drops meanwhile is taken off
        }
        Answer answer = post(body + "]");
        synchronized (this) {
            // Whatever stands between may answer 200 as well; only the server itself says how many it took.
            boolean taken = answer.status == 200 && answer.body.contains("\"accepted\"");
            boolean never = answer.status == 400 || answer.status == 413;
            if (never && sent > 1) {
                batch = (sent + 1) / 2; // half of it may pass; what is refused all alone will be refused for ever
            } else if (taken || never) {
                if (never) dropped++;
                for (; inFlight > 0; inFlight--) queue.remove();
                save();
                failures = 0;
                batch = Math.min(BATCH_EVENTS, batch * 2);
            } else {
                boolean refused = answer.status > 400 && answer.status < 500 && answer.status != 429;
                long most = refused ? REFUSED_RETRY_MS : LONGEST_RETRY_MS;
                long full = Math.min(options.firstRetryMs << Math.min(failures++, 10), most);
                long jittered = full / 2 + ThreadLocalRandom.current().nextLong(full / 2 + 1);
                schedule(Math.max(jittered, Math.min(answer.retryAfterS * 1000, REFUSED_RETRY_MS)));
                return;
            }
            schedule(GATHER_MS);
        }
    }

    private static final class Answer {
        int status; // 0: the server was not reached
        long retryAfterS;
        String body = "";
    }

    private Answer post(String body) {
        Answer answer = new Answer();
        HttpURLConnection connection = null;
        try {
            connection = (HttpURLConnection) new URL(options.endpoint + "/v1/events").openConnection();
            connection.setConnectTimeout(ANSWER_MS);
            connection.setReadTimeout(ANSWER_MS);
            connection.setInstanceFollowRedirects(false); // a redirect is no delivery
            connection.setDoOutput(true);
            connection.setRequestProperty("Content-Type", "application/json");
            if (options.ingestToken != null) connection.setRequestProperty("Authorization", "Bearer " + options.ingestToken);
            try (OutputStream out = connection.getOutputStream()) {
                out.write(body.getBytes(StandardCharsets.UTF_8)); // half a surrogate pair becomes a question mark
            }
            answer.status = connection.getResponseCode();
            String after = connection.getHeaderField("Retry-After");
            if (after != null && after.matches("\\d{1,9}")) answer.retryAfterS = Long.parseLong(after);
            InputStream in = answer.status < 400 ? connection.getInputStream() : connection.getErrorStream();
            answer.body = in == null ? "" : read(in);
        } catch (IOException | RuntimeException error) {
            answer.status = Math.max(answer.status, 0); // it is tried again
        } finally {
            if (connection != null) connection.disconnect();
        }
        return answer;
    }

    private void load() {
        try {
            for (String line : read(new FileInputStream(options.queueFile)).split("\n")) {
                if (line.startsWith("{") && line.endsWith("}")) queue.add(line); // not one that was cut off
            }
        } catch (IOException error) {
            queue.clear(); // the first start
        }
    }

    private void save() { // whole or not at all
        List<String> lines = new ArrayList<>(queue);
        lines.add("");
        File fresh = new File(options.queueFile.getPath() + ".new");
        write(fresh, String.join("\n", lines), false);
        if (!fresh.renameTo(options.queueFile)) fresh.delete();
    }

    private static void write(File file, String text, boolean append) {
        try (OutputStream out = new FileOutputStream(file, append)) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        } catch (IOException error) {
            // A full disk: what waits is still in memory.
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
        long high = System.currentTimeMillis() << 16 | 0x7000 | (random.getMostSignificantBits() & 0xfff);
        return new UUID(high, random.getLeastSignificantBits()).toString();
    }

    /** A Token04 is "04" and base64, whose first eight bytes are the expiry in Unix seconds, big-endian, in the clear. */
    private static String expiryOf(String token) {
        if (token == null || !token.matches("(?s)04[A-Za-z0-9+/]{11}.*")) return null;
        long seconds = 0;
        for (int at = 2; at < 13; at++) { // eleven digits are 66 bits: the last two are of the ninth byte
            int digit = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".indexOf(token.charAt(at));
            seconds = at < 12 ? seconds << 6 | digit : seconds << 4 | digit >> 2;
        }
        boolean likely = seconds >= 946684800L && seconds < 7258118400L; // the years 2000 to 2199
        return likely ? time(seconds * 1000) : null;
    }
}
