// Reports the connection events of the ZIM C++ SDK to a Zimwatch server: wire version 1, C++17, no dependencies.
//
//   auto reporter = std::make_shared<zimwatch::Reporter>(options);             // once a process, before ZIM::create
//   zim->setEventHandler(std::make_shared<zimwatch::Watched<MyHandler>>(reporter));   // MyHandler: your own
//   zimwatch::login(reporter, zim, user_id, config, callback);                // for zim->login(user_id, config, callback)
//   zimwatch::logout(reporter, zim);                                          // for zim->logout()
//   zimwatch::renew_token(reporter, zim, token, callback);                    // for zim->renewToken(token, callback)
//   reporter->logged_in(user_id);                                             // after a login by a UI kit
//
// Events are recorded before your handler or the SDK's call runs, are sent in batches by a thread, and wait in a file while
// the server is unreachable. Of a token only the expiry is read; tokens and names are never sent.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "ZIM.h"
#include "zimwatch_text.hpp"

namespace zimwatch {

struct Answer {
    int status = 0;         // 0: no connection
    std::string body;
    long retry_after_s = 0; // of the header Retry-After; 0: absent
};

struct Options {
    std::uint64_t app_id = 0;
    std::string platform; // the name of a ZIMPlatformType: Win, MacOS, Linux …
    std::string sdk_version, app_version, device_id;
    std::string queue_file;                         // the queue; used by this process alone
    // POSTs a JSON body to <server><path>, and waits for the answer. The path is /v1/events?sent_at=…
    std::function<Answer(const std::string &path, const std::string &body)> post;
    // Called once, with a line, when the server refuses an event for good.
    std::function<void(const std::string &)> log = [](const std::string &line) { std::cerr << line << '\n'; };
    std::chrono::milliseconds heartbeat{15000}; // until the server requests another interval; 0: none
    std::chrono::milliseconds first_retry{1000};
    std::size_t most_events = 2000; // past this the oldest are dropped
    // Your backend's assertion for a user whose events are about to be sent, or "" where it vouches for nobody. Called by
    // the sender's thread, and may wait for a request. Where it throws, the events wait. It precedes the events of a body.
    std::function<std::string(const std::string &user_id)> assertion;
};

class Reporter {
  public:
    struct Session {
        std::string id, user_id;
        bool ended = false;
        bool left = false; // logout was called: the SDK gives no callback for it while reconnecting
    };
    using Login = std::shared_ptr<Session>; // one login

    explicit Reporter(Options options)
        : options_(std::move(options)), client_id_(uuid()), heartbeat_(options_.heartbeat) {
        std::ifstream file(options_.queue_file);
        for (std::string line; std::getline(file, line);)
            if (!line.empty() && line.back() == '}') queue_.emplace_back(++pushed_, line); // complete lines only
        sender_ = std::thread([this] { run(); });
    }

    ~Reporter() {
        std::unique_lock<std::mutex> lock(mutex_);
        stopping_ = true;
        lock.unlock();
        wake_.notify_all();
        sender_.join();
    }

    void connection_state_changed(int state, int event, const std::string &extended_data) {
        std::lock_guard<std::mutex> lock(mutex_);
        state_ = state;
        last_ = ",\"state\":" + std::to_string(state) + ",\"event\":" + std::to_string(event) +
                ",\"extended_data\":" + quoted(extended_data);
        record("connection_state_changed", last_, session_);
        if (state == 0 && session_) session_->ended = true;
        if (state == 2 && session_) session_->left = false; // the logout had no effect
    }

    void token_will_expire(long long second) {
        std::lock_guard<std::mutex> lock(mutex_);
        record("token_will_expire", ",\"second\":" + std::to_string(second), session_);
    }

    // A second login of the same user joins the first; the SDK rejects one for another user.
    Login login_called(const std::string &user_id, const std::string &token, bool offline) {
        std::lock_guard<std::mutex> lock(mutex_);
        const bool live = is_live();
        Login of = live && session_->user_id == user_id ? session_ : std::make_shared<Session>(Session{uuid(), user_id});
        if (!live) session_ = of, state_ = -1;
        record("login", std::string(",\"offline_login\":") + (offline ? "true" : "false") +
                            ",\"token_expires_at\":" + expiry_of(token), of);
        return of;
    }

    void login_ended(const Login &of, int code, const std::string &message) {
        std::lock_guard<std::mutex> lock(mutex_);
        record("login_result", ",\"code\":" + std::to_string(code) + ",\"message\":" + quoted(message), of);
        if (code != 0 && state_ != 2 && state_ != 3) of->ended = true;
    }

    // Records a login that was not made through here, as by a UI kit, and repeats the last callback for this user.
    // Does nothing while that login lasts.
    void logged_in(const std::string &user_id) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (is_live() && session_->user_id == user_id) return;
        session_ = std::make_shared<Session>(Session{uuid(), user_id});
        record("login", ",\"offline_login\":false,\"token_expires_at\":null", session_);
        record("login_result", ",\"code\":0,\"message\":\"\"", session_);
        if (state_ > 0) record("connection_state_changed", last_, session_);
        else state_ = -1;
    }

    void logout_called() {
        std::lock_guard<std::mutex> lock(mutex_);
        record("logout", "", session_);
        if (session_) session_->left = true;
    }

    void token_renewed(const std::string &token, int code) {
        std::lock_guard<std::mutex> lock(mutex_);
        record("token_renewed", ",\"code\":" + std::to_string(code) + ",\"token_expires_at\":" +
                                    (code == 0 ? expiry_of(token) : "null"), session_);
    }

    void api_error(const std::string &method, int code, const std::string &message) {
        std::lock_guard<std::mutex> lock(mutex_);
        record("api_error", ",\"method\":" + quoted(method) + ",\"code\":" + std::to_string(code) +
                                ",\"message\":" + quoted(message), session_);
    }

    // Records and sends nothing more, and discards the queue: for users who withdraw their consent.
    void stop() {
        std::lock_guard<std::mutex> lock(mutex_);
        stopped_ = true;
        queue_.clear();
        save();
        idle_.notify_all();
    }

    // Records again, beginning with the SDK's present state.
    void start() {
        std::lock_guard<std::mutex> lock(mutex_);
        stopped_ = false;
        if (is_live() && state_ >= 0) record("connection_state_changed", last_, session_);
    }

    // Waits until all is delivered; false if that takes longer.
    bool flush(std::chrono::milliseconds within) {
        std::unique_lock<std::mutex> lock(mutex_);
        return idle_.wait_for(lock, within, [this] { return queue_.empty(); });
    }

    std::size_t dropped() {
        std::lock_guard<std::mutex> lock(mutex_);
        return dropped_;
    }

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t batch_events = 100;
    static constexpr std::chrono::milliseconds gather{50}, longest_retry{30000}, refused_retry{300000};
    static constexpr const char *version = "1.0.0"; // of Zimwatch, at the time of copying
    static constexpr double longest_heartbeat_s = 3600;

    bool is_live() const { return session_ && !session_->ended && !session_->left; }

    // The user of an event; empty without one, and where nobody vouches for users.
    std::string user_of(const std::string &event) const {
        static const std::string name = ",\"user_id\":\""; // within a string its quotes would be escaped
        const auto at = options_.assertion ? event.find(name) : std::string::npos;
        return at == std::string::npos ? "" : unquoted(event, at + name.size());
    }

    // Posts events, separated by commas, of this user. From sent_at the server corrects the times of a wrong clock.
    Answer post(const std::string &events, const std::string &user_id) const {
        std::string proof;
        try {
            if (!user_id.empty()) proof = options_.assertion(user_id);
        } catch (...) {
            return {}; // as without a connection
        }
        if (!proof.empty()) proof = "{\"assertion\":" + quoted(proof) + "},";
        return options_.post("/v1/events?sent_at=" + time_text(now_ms()), "[" + proof + events + "]");
    }

    // The position of the value of a name in JSON, or npos.
    static std::size_t value_of(const std::string &json, const std::string &name) {
        const auto found = json.find('"' + name + '"');
        return found == std::string::npos ? found : json.find_first_not_of(" :", found + name.size() + 2);
    }

    static double number_of(const std::string &json, const std::string &name) {
        const auto at = value_of(json, name);
        return at == std::string::npos ? 0 : std::strtod(json.c_str() + at, nullptr);
    }

    // Handles the answer; false if the server did not accept the request.
    bool handle_answer(const Answer &answer) {
        // A proxy may answer 200 too; only the server itself returns how many it accepted.
        if (answer.status != 200 || value_of(answer.body, "accepted") == std::string::npos) return false;
        const double after_s = number_of(answer.body, "heartbeat_after_s");
        if (options_.heartbeat.count() > 0 && after_s >= 1 && after_s <= longest_heartbeat_s)
            heartbeat_ = std::chrono::milliseconds(static_cast<std::int64_t>(after_s * 1000));
        auto count = static_cast<std::size_t>(std::max(0.0, number_of(answer.body, "rejected_more")));
        for (auto at = answer.body.find("\"index\""); at != std::string::npos; at = answer.body.find("\"index\"", at + 1)) ++count;
        if (count == 0) return true;
        const auto why = value_of(answer.body, "error");
        auto end = why == std::string::npos ? why : answer.body.find('"', why + 1);
        while (end != std::string::npos && answer.body[end - 1] == '\\') end = answer.body.find('"', end + 1);
        refused(end == std::string::npos ? "" : answer.body.substr(why + 1, end - why - 1), count);
        return true;
    }

    // Counts events that are refused for good, and logs the first.
    void refused(const std::string &why, std::size_t count) {
        dropped_ += count;
        if (!refusal_logged_ && options_.log) options_.log("Zimwatch: the server refused an event (" + why + ")");
        refusal_logged_ = true;
    }

    std::string event_json(const std::string &type, const std::string &fields, const Login &of) {
        const auto optional = [](const char *name, const std::string &value) {
            return value.empty() ? "" : std::string(",\"") + name + "\":" + quoted(value);
        };
        return "{\"id\":\"" + uuid() + "\",\"type\":\"" + type + "\",\"occurred_at\":\"" + time_text(now_ms()) +
               "\",\"client_id\":\"" + client_id_ + "\",\"seq\":" + std::to_string(++seq_) +
               ",\"session_id\":" + (of ? quoted(of->id) : "null") + ",\"app_id\":" + std::to_string(options_.app_id) +
               ",\"user_id\":" + (of && !of->user_id.empty() ? quoted(of->user_id) : "null") +
               ",\"sdk\":{\"name\":\"zim-cpp\"" + optional("version", options_.sdk_version) + "}" +
               optional("platform", options_.platform) + optional("app_version", options_.app_version) +
               optional("device_id", options_.device_id) + ",\"reporter\":{\"name\":\"zimwatch-cpp\",\"version\":\"" + version +
               "\"}" + fields + "}";
    }

    void record(const std::string &type, const std::string &fields, const Login &of) {
        if (stopped_) return;
        queue_.emplace_back(++pushed_, event_json(type, fields, of));
        if (queue_.size() > options_.most_events) {
            queue_.pop_front(), ++dropped_;
            save();
        } else if (!options_.queue_file.empty()) {
            std::ofstream(options_.queue_file, std::ios::app) << queue_.back().second << '\n';
        }
        wake_.notify_all();
    }

    void save() const { // atomic
        if (options_.queue_file.empty()) return;
        const std::string fresh = options_.queue_file + ".new";
        std::ofstream file(fresh, std::ios::trunc);
        for (const auto &waiting : queue_) file << waiting.second << '\n';
        file.close();
#ifdef _WIN32
        std::remove(options_.queue_file.c_str());
#endif
        std::rename(fresh.c_str(), options_.queue_file.c_str());
    }

    // When the next heartbeat is due: by chance, so that many clients do not send together, and never later than requested.
    Clock::time_point next_heartbeat() const {
        return Clock::now() + std::chrono::milliseconds(heartbeat_.count() * (800 + std::random_device()() % 201) / 1000);
    }

    void run() {
        std::unique_lock<std::mutex> lock(mutex_);
        auto heartbeat_at = next_heartbeat();
        auto send_at = Clock::now();
        while (!stopping_) {
            const bool sends_heartbeats = options_.heartbeat.count() > 0 && !stopped_ && is_live() && state_ >= 0;
            if (queue_.empty() && sends_heartbeats && Clock::now() >= heartbeat_at) {
                const std::string heartbeat = event_json("heartbeat", ",\"state\":" + std::to_string(state_), session_);
                lock.unlock();
                const Answer answer = post(heartbeat, user_of(heartbeat)); // not retried: another follows
                lock.lock();
                handle_answer(answer);
                send_at = std::max(send_at, Clock::now() + held(answer));
                heartbeat_at = std::max(next_heartbeat(), send_at);
            } else if (queue_.empty()) {
                if (sends_heartbeats) wake_.wait_until(lock, heartbeat_at);
                else wake_.wait(lock);
                send_at = std::max(send_at, Clock::now() + gather); // batches a call with the callbacks inside it
            } else if (Clock::now() < send_at) {
                wake_.wait_until(lock, send_at);
            } else {
                send_at = Clock::now() + send(lock);
                heartbeat_at = next_heartbeat();
            }
        }
    }

    // Sends one batch; returns the pause before the next.
    std::chrono::milliseconds send(std::unique_lock<std::mutex> &lock) {
        std::size_t count = 0;
        std::string events, user;
        for (; count < std::min(batch_, queue_.size()); ++count) {
            const std::string &event = queue_[count].second, own = user_of(event);
            if (!own.empty() && !user.empty() && own != user) break; // an assertion is of one user
            if (!own.empty()) user = own;
            events += (count ? "," : "") + event;
        }
        const std::uint64_t last = queue_[count - 1].first;
        lock.unlock();
        const Answer answer = post(events, user);
        lock.lock();
        const bool accepted = handle_answer(answer);
        if (!accepted && (answer.status == 400 || answer.status == 413) && count > 1) {
            batch_ = (count + 1) / 2; // half may pass; an event refused alone is refused for ever
            return gather;
        }
        if (accepted || answer.status == 400 || answer.status == 413) {
            if (!accepted) refused(std::to_string(answer.status), 1);
            while (!queue_.empty() && queue_.front().first <= last) queue_.pop_front();
            save();
            failures_ = 0;
            batch_ = std::min(batch_events, batch_ * 2);
            if (queue_.empty()) idle_.notify_all();
            return gather;
        }
        const bool refused = answer.status > 400 && answer.status < 500 && answer.status != 429;
        const auto full = std::min(options_.first_retry * (1 << std::min(failures_++, 10)), refused ? refused_retry : longest_retry);
        const std::chrono::milliseconds jittered(full.count() / 2 + std::random_device()() % (full.count() / 2 + 1));
        return std::max(jittered, held(answer));
    }

    // The pause that the server requests, for heartbeats too.
    static std::chrono::milliseconds held(const Answer &answer) {
        return std::min(std::chrono::milliseconds(refused_retry), std::chrono::milliseconds(answer.retry_after_s * 1000));
    }

    const Options options_;
    const std::string client_id_;
    std::chrono::milliseconds heartbeat_;
    std::mutex mutex_;
    std::condition_variable wake_, idle_;
    std::deque<std::pair<std::uint64_t, std::string>> queue_; // numbered, to find a sent batch again
    std::uint64_t pushed_ = 0, seq_ = 0;
    std::size_t dropped_ = 0, batch_ = batch_events;
    int failures_ = 0, state_ = -1;
    std::string last_; // of the last callback
    bool refusal_logged_ = false;
    Login session_; // of the latest login; stays set after its end
    bool stopping_ = false, stopped_ = false;
    std::thread sender_;
};

// Your handler, after the reporter. Takes the reporter, then the arguments of your handler's constructor.
template <class Handler> class Watched : public Handler {
  public:
    template <class... Given>
    explicit Watched(std::shared_ptr<Reporter> reporter, Given &&...given)
        : Handler(std::forward<Given>(given)...), reporter_(std::move(reporter)) {}

    void onConnectionStateChanged(zim::ZIM *zim, zim::ZIMConnectionState state, zim::ZIMConnectionEvent event,
                                  const std::string &extendedData) override {
        reporter_->connection_state_changed(static_cast<int>(state), static_cast<int>(event), extendedData);
        Handler::onConnectionStateChanged(zim, state, event, extendedData);
    }

    void onTokenWillExpire(zim::ZIM *zim, unsigned int second) override {
        reporter_->token_will_expire(static_cast<int>(second)); // negative for an expired token
        Handler::onTokenWillExpire(zim, second);
    }

  private:
    std::shared_ptr<Reporter> reporter_;
};

inline void login(std::shared_ptr<Reporter> reporter, zim::ZIM *zim, const std::string &user_id,
                  const zim::ZIMLoginConfig &config, zim::ZIMLoggedInCallback callback) {
    const auto of = reporter->login_called(user_id, config.token, config.isOfflineLogin);
    zim->login(user_id, config, [reporter, of, callback](const zim::ZIMError &error) {
        reporter->login_ended(of, static_cast<int>(error.code), error.message);
        if (callback) callback(error);
    });
}

inline void logout(std::shared_ptr<Reporter> reporter, zim::ZIM *zim) {
    reporter->logout_called();
    zim->logout();
}

inline void renew_token(std::shared_ptr<Reporter> reporter, zim::ZIM *zim, const std::string &token,
                        zim::ZIMTokenRenewedCallback callback) {
    zim->renewToken(token, [reporter, token, callback](const std::string &renewed, const zim::ZIMError &error) {
        reporter->token_renewed(token, static_cast<int>(error.code));
        if (callback) callback(renewed, error);
    });
}

} // namespace zimwatch
