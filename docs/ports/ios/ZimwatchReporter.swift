// Reports what the ZIM iOS and macOS SDK says about its connection to a Zimwatch server: wire version 1.
// NOT COMPILED OR RUN by this project: there was no Swift on its machines.
//
//   let reporter = ZimwatchReporter(options)                            // once a process, before ZIM.create
//   let handler = ZimwatchEventHandler(reporter, inFrontOf: myHandler)  // keep a reference to both
//   zim.setEventHandler(handler)
//   reporter.login(zim, userID: userID, config: config) { error in … }  // for zim.login(withUserID:config:callback:)
//   reporter.logout(zim)                                                // for zim.logout()
//   reporter.renewToken(zim, token) { token, error in … }               // for zim.renewToken(_:callback:)
//
// Events are recorded before your handler or the SDK's call runs, go out in batches, and wait in a file while the server
// is away. Of a token its expiry alone is read; tokens and names are never sent. Nothing here throws.
import Foundation
import ZIM

public final class ZimwatchReporter {
    public struct Options {
        public var endpoint: URL // the server's address: https://zimwatch.example.com
        public var appID: UInt32
        public var platform = "IPhoneOS" // a ZIMPlatformType by its name: IPhoneOS, IPadOS, MacOS
        public var queueFile: URL // of this process alone, in Application Support
        public var ingestToken: String?
        public var sdkVersion: String?
        public var appVersion: String?
        public var deviceID: String?
        public var mostEvents = 2000 // past that the oldest go
        public var heartbeat: TimeInterval = 15 // 0: none

        public init(endpoint: URL, appID: UInt32, queueFile: URL) {
            self.endpoint = endpoint
            self.appID = appID
            self.queueFile = queueFile
        }
    }

    /// What a call of login belongs to, from the call to DISCONNECTED.
    private final class Session {
        let id = ZimwatchReporter.uuid()
        let userID: String
        var ended = false

        init(_ userID: String) {
            self.userID = userID
        }
    }

    private enum Limits {
        static let batch = 100, text = 65_536
        static let gather = 0.05, answer = 10.0, firstRetry = 1.0, longestRetry = 30.0, refusedRetry = 300.0 // seconds
    }

    private let options: Options
    private let clientID = ZimwatchReporter.uuid()
    private let work = DispatchQueue(label: "zimwatch") // everything below belongs to it
    private let network: URLSession
    private var queue: [Data] = [] // JSON; the file holds the same, a line each
    private var session: Session? // of the newest login that may be under way; stays in place after its end
    private var state: Int?
    private var seq = 0, inFlight = 0, batch = Limits.batch, failures = 0, droppedEvents = 0
    private var scheduled = false
    private var heart: DispatchSourceTimer?

    public init(_ options: Options) {
        self.options = options
        let settings = URLSessionConfiguration.ephemeral
        settings.timeoutIntervalForRequest = Limits.answer
        network = URLSession(configuration: settings, delegate: NoRedirects(), delegateQueue: nil)
        work.async { self.load() }
        guard options.heartbeat > 0 else { return }
        let timer = DispatchSource.makeTimerSource(queue: work)
        timer.schedule(deadline: .now() + options.heartbeat, repeating: options.heartbeat)
        timer.setEventHandler { [weak self] in self?.beat() }
        timer.resume()
        heart = timer
    }

    public var waiting: Int { work.sync { queue.count } }
    public var dropped: Int { work.sync { droppedEvents } }

    // MARK: What the SDK says

    public func connectionStateChanged(_ state: Int, _ event: Int, _ extendedData: [AnyHashable: Any]) {
        let at = Date()
        let given = JSONSerialization.isValidJSONObject(extendedData)
            ? (try? JSONSerialization.data(withJSONObject: extendedData)).flatMap { String(data: $0, encoding: .utf8) } : nil
        let extended = given ?? String(describing: extendedData)
        work.async {
            self.state = state
            let fields: [String: Any] = ["state": state, "event": event, "extended_data": String(extended.prefix(Limits.text))]
            self.record(self.session, "connection_state_changed", at, fields)
            if state == 0 { self.session?.ended = true }
        }
    }

    public func tokenWillExpire(_ second: UInt32) { // negative for a token that has ended
        let at = Date()
        work.async { self.record(self.session, "token_will_expire", at, ["second": Int(Int32(bitPattern: second))]) }
    }

    // MARK: What the app calls

    public func login(_ zim: ZIM, userID: String, config: ZIMLoginConfig, callback: @escaping (ZIMError) -> Void) {
        let at = Date(), token = config.token, offline = config.isOfflineLogin
        let of = work.sync { self.loginCalled(userID, token, offline, at) }
        zim.login(withUserID: userID, config: config) { error in
            let at = Date(), code = Int(error.code.rawValue), message = error.message
            self.work.async {
                self.record(of, "login_result", at, ["code": code, "message": String(message.prefix(Limits.text))])
                if code != 0 && self.state != 2 && self.state != 3 { of.ended = true }
            }
            callback(error)
        }
    }

    public func logout(_ zim: ZIM) {
        let at = Date()
        work.sync { self.record(self.session, "logout", at, [:]) }
        zim.logout()
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

    /// A second login of the same user joins the first; the SDK refuses one for another user, which has no callbacks.
    private func loginCalled(_ userID: String, _ token: String, _ offline: Bool, _ at: Date) -> Session {
        let live = session.map { !$0.ended } ?? false
        let of = session.flatMap { live && $0.userID == userID ? $0 : nil } ?? Session(userID)
        if !live {
            session = of
            state = nil
        }
        record(of, "login", at, ["offline_login": offline, "token_expires_at": Self.expiry(of: token) ?? NSNull()])
        return of
    }

    private func beat() {
        // What waits will be a sign of life when it goes.
        guard let of = session, !of.ended, let state = state, queue.isEmpty,
              let event = made(of, "heartbeat", Date(), ["state": state]) else { return }
        post([event]) { _, _, _ in } // one that is lost is no loss: another follows
    }

    private func made(_ of: Session?, _ type: String, _ at: Date, _ fields: [String: Any]) -> Data? {
        seq += 1
        var event: [String: Any] = [
            "id": Self.uuid(), "type": type, "occurred_at": Self.time(at), "client_id": clientID, "seq": seq,
            "session_id": of?.id ?? NSNull(), "app_id": Int(options.appID), "platform": options.platform,
            "user_id": of.flatMap { $0.userID.isEmpty ? nil : $0.userID } ?? NSNull(),
            "sdk": ["name": "zim-ios", "version": options.sdkVersion ?? NSNull()] as [String: Any],
            "app_version": options.appVersion ?? NSNull(), "device_id": options.deviceID ?? NSNull(),
        ]
        event.merge(fields) { _, own in own }
        return try? JSONSerialization.data(withJSONObject: event)
    }

    private func record(_ of: Session?, _ type: String, _ at: Date, _ fields: [String: Any]) {
        guard let event = made(of, type, at, fields) else { return }
        queue.append(event)
        if queue.count > options.mostEvents {
            queue.removeFirst()
            inFlight = max(0, inFlight - 1)
            droppedEvents += 1
        }
        save()
        schedule(after: Limits.gather) // a call and the callbacks inside it travel together
    }

    // MARK: Delivery

    private func schedule(after seconds: TimeInterval) {
        guard !scheduled, !queue.isEmpty else { return }
        scheduled = true
        work.asyncAfter(deadline: .now() + seconds) { self.send() }
    }

    private func send() {
        let some = Array(queue.prefix(batch))
        inFlight = some.count // what overflow drops meanwhile is taken off
        post(some) { status, body, retryAfter in
            self.scheduled = false
            self.schedule(after: self.settle(some.count, status, body, retryAfter))
        }
    }

    /// What becomes of a batch that was answered; gives how long to wait before the next.
    private func settle(_ sent: Int, _ status: Int, _ body: String, _ retryAfter: TimeInterval) -> TimeInterval {
        // Whatever stands between may answer 200 as well; only the server itself says how many it took.
        let taken = status == 200 && body.contains("\"accepted\"")
        let never = status == 400 || status == 413
        if never && sent > 1 {
            batch = (sent + 1) / 2 // half of it may pass; what is refused all alone will be refused for ever
            return Limits.gather
        }
        if taken || never {
            if never { droppedEvents += 1 }
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
        return max(full * Double.random(in: 0.5...1), min(retryAfter, Limits.refusedRetry))
    }

    private func post(_ events: [Data], done: @escaping (_ status: Int, _ body: String, _ retryAfter: TimeInterval) -> Void) {
        var request = URLRequest(url: options.endpoint.appendingPathComponent("v1/events"))
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        if let token = options.ingestToken { request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
        request.httpBody = Data("[".utf8) + Data(events.joined(separator: Data(",".utf8))) + Data("]".utf8)
        network.dataTask(with: request) { data, response, _ in
            let http = response as? HTTPURLResponse // nil: the server was not reached
            let after = http?.value(forHTTPHeaderField: "Retry-After").flatMap(TimeInterval.init) ?? 0
            self.work.async { done(http?.statusCode ?? 0, data.flatMap { String(data: $0, encoding: .utf8) } ?? "", after) }
        }.resume()
    }

    private final class NoRedirects: NSObject, URLSessionTaskDelegate { // a redirect is no delivery
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

    private func save() { // whole or not at all; a full disk: what waits is still in memory
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
        let ms = UInt64(Date().timeIntervalSince1970 * 1000)
        let first = UInt16.random(in: 0...0xfff) | 0x7000, second = UInt16.random(in: 0...0x3fff) | 0x8000
        let last = UInt64.random(in: 0...0xffff_ffff_ffff)
        return String(format: "%08llx-%04llx-%04x-%04x-%012llx", ms >> 16, ms & 0xffff, first, second, last)
    }

    /// A Token04 is "04" and base64, whose first eight bytes are the expiry in Unix seconds, big-endian, in the clear.
    private static func expiry(of token: String) -> String? {
        guard token.hasPrefix("04"), token.count >= 14,
              let bytes = Data(base64Encoded: String(token.dropFirst(2).prefix(12))) else { return nil }
        let seconds = bytes.prefix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
        let likely = seconds >= 946_684_800 && seconds < 7_258_118_400 // the years 2000 to 2199
        return likely ? time(Date(timeIntervalSince1970: TimeInterval(seconds))) : nil
    }
}

/// Sits in the SDK's one place for a handler, and passes everything on to yours.
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

    // The protocol's other methods are optional, and the SDK asks first.
    override public func responds(to selector: Selector!) -> Bool {
        super.responds(to: selector) || next?.responds(to: selector) ?? false
    }

    override public func forwardingTarget(for selector: Selector!) -> Any? {
        next?.responds(to: selector) ?? false ? next : super.forwardingTarget(for: selector)
    }
}
