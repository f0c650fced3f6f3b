// Reports the connection events of the ZIM iOS and macOS SDK to a Zimwatch server: wire version 1.
// NOT COMPILED OR RUN by this project: there was no Swift on its machines.
//
//   let reporter = ZimwatchReporter(options)                            // once a process, before ZIM.create
//   let handler = ZimwatchEventHandler(reporter, inFrontOf: myHandler)  // keep a reference to both
//   zim.setEventHandler(handler)
//   reporter.login(zim, userID: userID, config: config) { error in … }  // for zim.login(withUserID:config:callback:)
//   reporter.logout(zim)                                                // for zim.logout()
//   reporter.renewToken(zim, token) { token, error in … }               // for zim.renewToken(_:callback:)
//   reporter.loggedIn(userID)                                           // after a login by a UI kit
//
// Events are recorded before your handler or the SDK's call runs, are sent in batches, and wait in a file while the server
// is unreachable. Of a token only the expiry is read; tokens and names are never sent. Nothing here throws.
import Foundation
import ZIM

public final class ZimwatchReporter {
    public struct Options {
        public var endpoint: URL // the server's address: https://zimwatch.example.com
        public var appID: UInt32
        public var platform = "IPhoneOS" // the name of a ZIMPlatformType: IPhoneOS, IPadOS, MacOS
        public var queueFile: URL // used by this process alone, in Application Support
        public var ingestToken: String?
        public var sdkVersion: String?
        public var appVersion: String?
        public var deviceId: String?
        public var mostEvents = 2000 // past this the oldest are dropped
        public var heartbeat: TimeInterval = 15 // until the server requests another interval; 0: none
        /// Your backend's assertion for this user, whose events are about to be sent, or nil. It vouches for the user.
        /// Call `done` once, on any queue. With an error, or without a call within 10 s, the events wait.
        public var assertion: ((_ userID: String, _ done: @escaping (Result<String?, Error>) -> Void) -> Void)?

        public init(endpoint: URL, appID: UInt32, queueFile: URL) {
            self.endpoint = endpoint
            self.appID = appID
            self.queueFile = queueFile
        }
    }

    /// One login, from the call to DISCONNECTED, or to a logout unless CONNECTED follows.
    public final class Session {
        let id = ZimwatchReporter.uuid()
        let userID: String
        var ended = false
        var left = false // logout was called: the SDK gives no callback for it while reconnecting
        var live: Bool { !ended && !left }

        init(_ userID: String) {
            self.userID = userID
        }
    }

    private enum Limits {
        static let batch = 100, text = 65_536
        static let gather = 0.05, answer = 10.0, firstRetry = 1.0, longestRetry = 30.0, refusedRetry = 300.0 // seconds
        static let longestHeartbeat = 3600.0 // seconds
        static let version = "1.0.0" // of Zimwatch, at the time of copying
    }

    private let options: Options
    private let clientID = ZimwatchReporter.uuid()
    private let work = DispatchQueue(label: "zimwatch") // guards everything below
    private let network: URLSession
    private var queue: [Data] = [] // JSON; the file holds the same, a line each
    private var session: Session? // of the latest login; stays set after its end
    private var state: Int?
    private var last: [String: Any] = [:] // of the last callback
    private var refusalLogged = false
    private var heartbeat: TimeInterval
    private var seq = 0, inFlight = 0, batch = Limits.batch, failures = 0, droppedEvents = 0
    private var scheduled = false, stopped = false
    private var heldUntil = DispatchTime(uptimeNanoseconds: 0) // the server's Retry-After; for heartbeats too
    private var heart: DispatchSourceTimer?

    public init(_ options: Options) {
        self.options = options
        heartbeat = options.heartbeat
        let settings = URLSessionConfiguration.ephemeral
        settings.timeoutIntervalForRequest = Limits.answer
        network = URLSession(configuration: settings, delegate: NoRedirects(), delegateQueue: nil)
        work.async { self.load() }
        guard options.heartbeat > 0 else { return }
        let timer = DispatchSource.makeTimerSource(queue: work)
        timer.setEventHandler { [weak self] in
            self?.scheduleHeartbeat()
            self?.sendHeartbeat()
        }
        heart = timer
        scheduleHeartbeat()
        timer.resume()
    }

    private func scheduleHeartbeat() {
        // By chance, so that many clients do not send together, and never later than requested.
        heart?.schedule(deadline: .now() + heartbeat * Double.random(in: 0.8...1))
    }

    /// Records and sends nothing more, and discards the queue: for users who withdraw their consent.
    public func stop() {
        work.sync {
            self.stopped = true
            self.queue.removeAll()
            self.inFlight = 0
            self.save()
        }
    }

    /// Records again, beginning with the SDK's present state.
    public func start() {
        let at = Date()
        work.async {
            self.stopped = false
            guard let of = self.session, of.live, self.state != nil else { return }
            self.record(of, "connection_state_changed", at, self.last)
        }
    }

    public var waiting: Int { work.sync { queue.count } }
    public var dropped: Int { work.sync { droppedEvents } }

    // MARK: Callbacks of the SDK

    public func connectionStateChanged(_ state: Int, _ event: Int, _ extendedData: [AnyHashable: Any]) {
        let at = Date()
        let given = JSONSerialization.isValidJSONObject(extendedData)
            ? (try? JSONSerialization.data(withJSONObject: extendedData)).flatMap { String(data: $0, encoding: .utf8) } : nil
        let extended = given ?? String(describing: extendedData)
        work.async {
            self.state = state
            self.last = ["state": state, "event": event, "extended_data": String(extended.prefix(Limits.text))]
            self.record(self.session, "connection_state_changed", at, self.last)
            if state == 0 { self.session?.ended = true }
            if state == 2 { self.session?.left = false } // the logout had no effect
        }
    }

    public func tokenWillExpire(_ second: UInt32) { // negative for an expired token
        let at = Date()
        work.async { self.record(self.session, "token_will_expire", at, ["second": Int(Int32(bitPattern: second))]) }
    }

    // MARK: Calls of the app

    public func login(_ zim: ZIM, userID: String, config: ZIMLoginConfig, callback: @escaping (ZIMError) -> Void) {
        let of = loginCalled(userID, config.token, config.isOfflineLogin)
        zim.login(withUserID: userID, config: config) { error in
            self.loginEnded(of, Int(error.code.rawValue), error.message)
            callback(error)
        }
    }

    public func logout(_ zim: ZIM) {
        logoutCalled()
        zim.logout()
    }

    /// Records a login that was not made through here, as by a UI kit, and repeats the last callback for this user.
    /// Does nothing while that login lasts.
    public func loggedIn(_ userID: String) {
        let at = Date()
        work.async {
            if let known = self.session, known.live, known.userID == userID { return }
            let of = Session(userID)
            self.session = of
            self.record(of, "login", at, ["offline_login": false, "token_expires_at": NSNull()])
            self.record(of, "login_result", at, ["code": 0, "message": ""])
            if let state = self.state, state != 0 {
                self.record(of, "connection_state_changed", at, self.last)
            } else {
                self.state = nil
            }
        }
    }

    /// Call it before a login that is not made through here.
    public func loginCalled(_ userID: String, _ token: String, _ offline: Bool) -> Session {
        let at = Date()
        return work.sync { self.begin(userID, token, offline, at) }
    }

    /// In its callback.
    public func loginEnded(_ of: Session, _ code: Int, _ message: String) {
        let at = Date()
        work.async {
            self.record(of, "login_result", at, ["code": code, "message": String(message.prefix(Limits.text))])
            if code != 0 && self.state != 2 && self.state != 3 { of.ended = true }
        }
    }

    /// Call it before a logout that is not made through here.
    public func logoutCalled() {
        let at = Date()
        work.sync {
            self.record(self.session, "logout", at, [:])
            self.session?.left = true
        }
    }

    public func renewToken(_ zim: ZIM, _ token: String, callback: @escaping (String, ZIMError) -> Void) {
        zim.renewToken(token) { renewed, error in
            let at = Date(), code = Int(error.code.rawValue)
            let expires: Any = code == 0 ? Self.expiry(of: token) ?? NSNull() : NSNull()
            self.work.async { self.record(self.session, "token_renewed", at, ["code": code, "token_expires_at": expires]) }
            callback(renewed, error)
        }
    }

    public func apiError(_ method: String, _ error: ZIMError) {
        let at = Date()
        let fields: [String: Any] = ["method": method, "code": Int(error.code.rawValue), "message": error.message]
        work.async { self.record(self.session, "api_error", at, fields) }
    }

    // MARK: Events; from here on everything runs on `work`

    /// A second login of the same user joins the first; the SDK rejects one for another user.
    private func begin(_ userID: String, _ token: String, _ offline: Bool, _ at: Date) -> Session {
        let live = session.map { $0.live } ?? false
        let of = session.flatMap { live && $0.userID == userID ? $0 : nil } ?? Session(userID)
        if !live {
            session = of
            state = nil
        }
        record(of, "login", at, ["offline_login": offline, "token_expires_at": Self.expiry(of: token) ?? NSNull()])
        return of
    }

    private func sendHeartbeat() {
        // A queued event serves as a sign of life.
        guard !stopped, let of = session, of.live, let state = state, queue.isEmpty, DispatchTime.now() >= heldUntil,
              let event = json(of, "heartbeat", Date(), ["state": state]) else { return }
        let user = of.userID.isEmpty ? nil : of.userID
        post([event], of: user) { status, body in _ = self.handleAnswer(status, body) } // not retried: another follows
    }

    /// Handles the answer; false if the server did not accept the request.
    private func handleAnswer(_ status: Int, _ body: String) -> Bool {
        // A proxy may answer 200 too; only the server itself returns how many it accepted.
        guard status == 200, let result = (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any],
              result["accepted"] is Int else { return false }
        if let after = result["heartbeat_after_s"] as? Double, after >= 1, after <= Limits.longestHeartbeat, after != heartbeat {
            heartbeat = after
            scheduleHeartbeat()
        }
        if let rejected = result["rejected"] as? [[String: Any]], let first = rejected.first {
            refused("\(first["error"] ?? "")", rejected.count + (result["rejected_more"] as? Int ?? 0))
        }
        return true
    }

    /// Counts events that are refused for good, and logs the first.
    private func refused(_ why: String, _ count: Int) {
        droppedEvents += count
        if !refusalLogged { NSLog("Zimwatch: the server refused an event (%@)", why) }
        refusalLogged = true
    }

    private func json(_ of: Session?, _ type: String, _ at: Date, _ fields: [String: Any]) -> Data? {
        seq += 1
        var event: [String: Any] = [
            "id": Self.uuid(), "type": type, "occurred_at": Self.time(at), "client_id": clientID, "seq": seq,
            "session_id": of?.id ?? NSNull(), "app_id": Int(options.appID), "platform": options.platform,
            "user_id": of.flatMap { $0.userID.isEmpty ? nil : $0.userID } ?? NSNull(),
            "sdk": ["name": "zim-ios", "version": options.sdkVersion ?? NSNull()] as [String: Any],
            "app_version": options.appVersion ?? NSNull(), "device_id": options.deviceId ?? NSNull(),
            "reporter": ["name": "zimwatch-ios", "version": Limits.version],
        ]
        event.merge(fields) { _, own in own }
        return try? JSONSerialization.data(withJSONObject: event)
    }

    private func record(_ of: Session?, _ type: String, _ at: Date, _ fields: [String: Any]) {
        guard !stopped, let event = json(of, type, at, fields) else { return }
        queue.append(event)
        if queue.count > options.mostEvents {
            queue.removeFirst()
            inFlight = max(0, inFlight - 1)
            droppedEvents += 1
        }
        save()
        schedule(after: Limits.gather) // batches a call with the callbacks inside it
    }

    // MARK: Delivery

    private func schedule(after seconds: TimeInterval) {
        guard !scheduled, !queue.isEmpty else { return }
        scheduled = true
        work.asyncAfter(deadline: max(.now() + seconds, heldUntil)) { self.send() }
    }

    private func send() {
        guard !queue.isEmpty else { // discarded meanwhile
            scheduled = false
            return
        }
        let (some, user) = nextEvents()
        inFlight = some.count // minus what overflow drops meanwhile
        post(some, of: user) { status, body in
            self.scheduled = false
            self.schedule(after: self.settle(some.count, status, body))
        }
    }

    /// The next events, up to the first of another user, and their user: an assertion is of one.
    private func nextEvents() -> ([Data], String?) {
        guard options.assertion != nil else { return (Array(queue.prefix(batch)), nil) }
        var some: [Data] = []
        var user: String?
        for event in queue.prefix(batch) {
            let read = (try? JSONSerialization.jsonObject(with: event)) as? [String: Any]
            let own = read?["user_id"] as? String
            if own != nil && user != nil && own != user { break }
            user = user ?? own
            some.append(event)
        }
        return (some, user)
    }

    /// Handles the answer to a batch; returns the pause before the next.
    private func settle(_ sent: Int, _ status: Int, _ body: String) -> TimeInterval {
        let accepted = handleAnswer(status, body)
        let never = status == 400 || status == 413
        if never && sent > 1 {
            batch = (sent + 1) / 2 // half may pass; an event refused alone is refused for ever
            return Limits.gather
        }
        if accepted || never {
            if never { self.refused(String(status), 1) }
            queue.removeFirst(inFlight)
            save()
            failures = 0
            batch = min(Limits.batch, batch * 2)
            return Limits.gather
        }
        let refused = status > 400 && status < 500 && status != 429
        let most = refused ? Limits.refusedRetry : Limits.longestRetry
        let full = min(Limits.firstRetry * pow(2, Double(min(failures, 10))), most)
        failures += 1
        return full * Double.random(in: 0.5...1)
    }

    /// With the assertion of the user, where there is one. Without the app's backend it is as without a network.
    private func post(_ events: [Data], of user: String?, done: @escaping (_ status: Int, _ body: String) -> Void) {
        guard let assertion = options.assertion, let user = user else { return post(events, proof: nil, done: done) }
        var answered = false
        let proceed: (Result<String?, Error>?) -> Void = { result in // runs on `work`
            guard !answered else { return }
            answered = true
            if !self.stopped, case .success(let proof)? = result {
                self.post(events, proof: proof, done: done)
            } else {
                done(0, "")
            }
        }
        work.asyncAfter(deadline: .now() + Limits.answer) { proceed(nil) }
        // Not on `work`: it may call the reporter.
        DispatchQueue.global().async { assertion(user) { result in self.work.async { proceed(result) } } }
    }

    private func post(_ events: [Data], proof: String?, done: @escaping (_ status: Int, _ body: String) -> Void) {
        // From sent_at the server corrects the times of a wrong clock.
        let path = options.endpoint.appendingPathComponent("v1/events").absoluteString
        var request = URLRequest(url: URL(string: path + "?sent_at=" + Self.time(Date()))!)
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        if let token = options.ingestToken { request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
        if let proof = proof { request.setValue(proof, forHTTPHeaderField: "Zimwatch-Assertion") }
        request.httpBody = Data("[".utf8) + Data(events.joined(separator: Data(",".utf8))) + Data("]".utf8)
        network.dataTask(with: request) { data, response, _ in
            let http = response as? HTTPURLResponse // nil: no connection
            let after = http?.value(forHTTPHeaderField: "Retry-After").flatMap(TimeInterval.init) ?? 0
            self.work.async {
                if after > 0 { self.heldUntil = .now() + min(after, Limits.refusedRetry) }
                done(http?.statusCode ?? 0, data.flatMap { String(data: $0, encoding: .utf8) } ?? "")
            }
        }.resume()
    }

    private final class NoRedirects: NSObject, URLSessionTaskDelegate { // a redirect is not a delivery
        func urlSession(_: URLSession, task _: URLSessionTask, willPerformHTTPRedirection _: HTTPURLResponse,
                        newRequest _: URLRequest, completionHandler: @escaping (URLRequest?) -> Void) {
            completionHandler(nil)
        }
    }

    // MARK: The file

    private func load() {
        let kept = (try? Data(contentsOf: options.queueFile)) ?? Data()
        queue = kept.split(separator: UInt8(ascii: "\n")).map { Data($0) } + queue
        schedule(after: 0)
    }

    private func save() { // atomic; on a full disk the queue is still in memory
        try? Data(queue.map { $0 + Data("\n".utf8) }.joined()).write(to: options.queueFile, options: .atomic)
    }

    // MARK: Texts

    private static func time(_ at: Date) -> String { // RFC 3339, UTC
        let format = ISO8601DateFormatter()
        format.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        return format.string(from: at)
    }

    /// UUID version 7 (RFC 9562): milliseconds first, so that ids sort by time.
    private static func uuid() -> String {
        let ms = UInt64(max(0, Date().timeIntervalSince1970) * 1000) // a clock may be before 1970
        let first = UInt16.random(in: 0...0xfff) | 0x7000, second = UInt16.random(in: 0...0x3fff) | 0x8000
        let last = UInt64.random(in: 0...0xffff_ffff_ffff)
        return String(format: "%08llx-%04llx-%04x-%04x-%012llx", ms >> 16, ms & 0xffff, first, second, last)
    }

    /// A Token04 is "04" and base64; the first eight bytes are the expiry in Unix seconds, big-endian, unencrypted.
    private static func expiry(of token: String) -> String? {
        guard token.hasPrefix("04"), token.count >= 14,
              let bytes = Data(base64Encoded: String(token.dropFirst(2).prefix(12))) else { return nil }
        let seconds = bytes.prefix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
        let likely = seconds >= 946_684_800 && seconds < 7_258_118_400 // the years 2000 to 2199
        return likely ? time(Date(timeIntervalSince1970: TimeInterval(seconds))) : nil
    }
}

/// The SDK's handler, which forwards everything to yours.
public final class ZimwatchEventHandler: NSObject, ZIMEventHandler {
    private let reporter: ZimwatchReporter
    private weak var next: (NSObject & ZIMEventHandler)?

    public init(_ reporter: ZimwatchReporter, inFrontOf next: (NSObject & ZIMEventHandler)?) {
        self.reporter = reporter
        self.next = next
    }

    public func zim(_ zim: ZIM, connectionStateChanged state: ZIMConnectionState, event: ZIMConnectionEvent,
                    extendedData: [AnyHashable: Any]) {
        reporter.connectionStateChanged(Int(state.rawValue), Int(event.rawValue), extendedData)
        next?.zim?(zim, connectionStateChanged: state, event: event, extendedData: extendedData)
    }

    public func zim(_ zim: ZIM, tokenWillExpire second: UInt32) {
        reporter.tokenWillExpire(second)
        next?.zim?(zim, tokenWillExpire: second)
    }

    // The protocol's other methods are optional; the SDK checks for them.
    override public func responds(to selector: Selector!) -> Bool {
        super.responds(to: selector) || next?.responds(to: selector) ?? false
    }

    override public func forwardingTarget(for selector: Selector!) -> Any? {
        next?.responds(to: selector) ?? false ? next : super.forwardingTarget(for: selector)
    }
}
