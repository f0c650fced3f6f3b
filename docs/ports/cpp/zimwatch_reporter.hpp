// Reports what the ZIM C++ SDK says about its connection to a Zimwatch server: wire version 1, C++17, no dependency.
//
//   auto reporter = std::make_shared<zimwatch::Reporter>(options);             // once a process, before ZIM::create
//   zim->setEventHandler(std::make_shared<zimwatch::Watched<MyHandler>>(reporter));   // MyHandler: your own
//   zimwatch::login(reporter, zim, user_id, config, callback);                // for zim->login(user_id, config, callback)
//   zimwatch::logout(reporter, zim);                                          // for zim->logout()
//   zimwatch::renew_token(reporter, zim, token, callback);                    // for zim->renewToken(token, callback)
//
// Events are recorded before your handler or the SDK's call runs, go out in batches on a thread of their own, and wait in
// a file while the server is away. Of a token its expiry alone is read; tokens and names are never sent.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "ZIM.h"

namespace zimwatch {

struct Answer {
    int status = 0;         // 0: the server was not reached
    std::string body;
    long retry_after_s = 0; // of the header Retry-After; 0 where there is none
};

struct Options {
    std::uint64_t app_id = 0;
    std::string platform; // a ZIMPlatformType by its name: Win, MacOS, Linux …
    std::string sdk_version, app_version, device_id;
    std::string queue_file;                         // what waits is kept here; of this process alone
    std::function<Answer(const std::string &)> post; // POSTs a JSON body to <server>/v1/events and waits for the answer
    std::chrono::milliseconds heartbeat{15000}; // 0: none
    std::chrono::milliseconds first_retry{1000};
    std::size_t most_events = 2000; // past that the oldest go
};

// UUID version 7 (RFC 9562): milliseconds first, so that ids sort by time.
inline std::string uuid() {
    static thread_local std::random_device random;
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    const auto ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
    char text[37];
    std::snprintf(text, sizeof text, "%08x-%04x-7%03x-%04x-%04x%08x", static_cast<unsigned>(ms >> 16),
                  static_cast<unsigned>(ms & 0xffff), random() & 0xfff, (random() & 0x3fff) | 0x8000, random() & 0xffff,
                  random() & 0xffffffff);
    return text;
}

// RFC 3339, UTC.
inline std::string time_text(std::int64_t ms) {
    const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
    std::tm utc{};
#ifdef _WIN32
    gmtime_s(&utc, &seconds);
#else
    gmtime_r(&seconds, &utc);
#endif
    char text[96];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                  utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(ms % 1000));
    return text;
}

// A JSON string. Bytes that are not UTF-8 become U+FFFD, and past 60,000 bytes the rest is left out.
inline std::string quoted(const std::string &text) {
    std::string out = "\"";
    for (std::size_t at = 0; at < text.size() && out.size() < 60000;) {
        const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
        const unsigned char lead = byte(at);
        const std::size_t length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3
                                   : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
        bool good = length > 0 && at + length <= text.size();
        for (std::size_t next = 1; good && next < length; ++next) good = (byte(at + next) & 0xc0) == 0x80;
        if (good && length > 1) {
            const unsigned char second = byte(at + 1); // neither overlong, nor half a surrogate pair, nor past U+10FFFF
            good = !(lead == 0xe0 && second < 0xa0) && !(lead == 0xed && second > 0x9f) &&
                   !(lead == 0xf0 && second < 0x90) && !(lead == 0xf4 && second > 0x8f);
        }
        if (!good) {
            out += "\\ufffd";
            at += 1;
        } else if (length > 1) {
            out.append(text, at, length);
            at += length;
        } else {
            char escape[7];
            if (lead == '"' || lead == '\\') out += {'\\', static_cast<char>(lead)};
            else if (lead < 0x20) std::snprintf(escape, sizeof escape, "\\u%04x", lead), out += escape;
            else out += static_cast<char>(lead);
            at += 1;
        }
    }
    return out + "\"";
}

// The expiry of a Token04 as JSON: "04" and base64, whose first eight bytes are Unix seconds, big-endian, in the clear.
inline std::string expiry_of(const std::string &token) {
    static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (token.size() < 14 || token.compare(0, 2, "04") != 0) return "null";
    std::uint64_t seconds = 0;
    for (std::size_t index = 2; index < 13; ++index) { // eleven digits are 66 bits: the last two are of the ninth byte
        const auto digit = digits.find(token[index]);
        if (digit == std::string::npos) return "null";
        seconds = index < 12 ? seconds << 6 | digit : seconds << 4 | digit >> 2;
    }
    const bool likely = seconds >= 946684800 && seconds < 7258118400; // the years 2000 to 2199
    return likely ? quoted(time_text(static_cast<std::int64_t>(seconds) * 1000)) : "null";
}

class Reporter {
  public:
    struct Session {
        std::string id, user_id;
        bool ended = false;
    };
    using Login = std::shared_ptr<Session>; // what a call of login belongs to

    explicit Reporter(Options options) : options_(std::move(options)), client_id_(uuid()) {
        std::ifstream file(options_.queue_file);
        for (std::string line; std::getline(file, line);)
            if (!line.empty() && line.back() == '}') queue_.emplace_back(++pushed_, line); // not one that was cut off
        sender_ = std::thread([this] { run(); });
    }

    ~Reporter() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        sender_.join();
    }

    void connection_state_changed(int state, int event, const std::string &extended_data) {
        std::lock_guard<std::mutex> lock(mutex_);
        state_ = state;
        record("connection_state_changed", ",\"state\":" + std::to_string(state) + ",\"event\":" + std::to_string(event) +
                                               ",\"extended_data\":" + quoted(extended_data), session_);
        if (state == 0 && session_) session_->ended = true;
    }

    void token_will_expire(long long second) {
        std::lock_guard<std::mutex> lock(mutex_);
        record("token_will_expire", ",\"second\":" + std::to_string(second), session_);
    }

    // A second login of the same user joins the first; the SDK refuses one for another user, which then has no callbacks.
    Login login_called(const std::string &user_id, const std::string &token, bool offline) {
        std::lock_guard<std::mutex> lock(mutex_);
        const bool live = session_ && !session_->ended;
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

    void logout_called() {
        std::lock_guard<std::mutex> lock(mutex_);
        record("logout", "", session_);
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

    // Whether nothing waits any more within this time.
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

    static std::int64_t now_ms() {
        const auto since = std::chrono::system_clock::now().time_since_epoch();
        return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
    }

    std::string made(const std::string &type, const std::string &fields, const Login &of) {
        const auto optional = [](const char *name, const std::string &value) {
            return value.empty() ? "" : std::string(",\"") + name + "\":" + quoted(value);
        };
        return "{\"id\":\"" + uuid() + "\",\"type\":\"" + type + "\",\"occurred_at\":\"" + time_text(now_ms()) +
               "\",\"client_id\":\"" + client_id_ + "\",\"seq\":" + std::to_string(++seq_) +
               ",\"session_id\":" + (of ? quoted(of->id) : "null") + ",\"app_id\":" + std::to_string(options_.app_id) +
               ",\"user_id\":" + (of && !of->user_id.empty() ? quoted(of->user_id) : "null") +
               ",\"sdk\":{\"name\":\"zim-cpp\"" + optional("version", options_.sdk_version) + "}" +
               optional("platform", options_.platform) + optional("app_version", options_.app_version) +
               optional("device_id", options_.device_id) + fields + "}";
    }

    void record(const std::string &type, const std::string &fields, const Login &of) {
        queue_.emplace_back(++pushed_, made(type, fields, of));
        if (queue_.size() > options_.most_events) {
            queue_.pop_front(), ++dropped_;
            save();
        } else if (!options_.queue_file.empty()) {
            std::ofstream(options_.queue_file, std::ios::app) << queue_.back().second << '\n';
        }
        wake_.notify_all();
    }

    void save() const { // whole or not at all
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

    void run() {
        std::unique_lock<std::mutex> lock(mutex_);
        auto beat_at = Clock::now() + options_.heartbeat;
        auto send_at = Clock::now();
        while (!stopping_) {
            const bool beats = options_.heartbeat.count() > 0 && session_ && !session_->ended && state_ >= 0;
            if (queue_.empty() && beats && Clock::now() >= beat_at) {
                const std::string beat = made("heartbeat", ",\"state\":" + std::to_string(state_), session_);
                beat_at = Clock::now() + options_.heartbeat;
                lock.unlock();
                options_.post("[" + beat + "]"); // one that is lost is no loss: another follows
                lock.lock();
            } else if (queue_.empty()) {
                if (beats) wake_.wait_until(lock, beat_at);
                else wake_.wait(lock);
                send_at = std::max(send_at, Clock::now() + gather); // what happens together travels together
            } else if (Clock::now() < send_at) {
                wake_.wait_until(lock, send_at);
            } else {
                send_at = Clock::now() + send(lock);
                beat_at = Clock::now() + options_.heartbeat;
            }
        }
    }

    // One batch; gives how long to wait before the next.
    std::chrono::milliseconds send(std::unique_lock<std::mutex> &lock) {
        const std::size_t count = std::min(batch_, queue_.size());
        const std::uint64_t last = queue_[count - 1].first;
        std::string body;
        for (std::size_t index = 0; index < count; ++index) body += (index ? "," : "[") + queue_[index].second;
        lock.unlock();
        const Answer answer = options_.post(body + "]");
        lock.lock();
        // Whatever stands between may answer 200 as well; only the server itself says how many it took.
        const bool taken = answer.status == 200 && answer.body.find("\"accepted\"") != std::string::npos;
        if (!taken && (answer.status == 400 || answer.status == 413) && count > 1) {
            batch_ = (count + 1) / 2; // half of it may pass; what is refused all alone will be refused for ever
            return gather;
        }
        if (taken || answer.status == 400 || answer.status == 413) {
            if (!taken) ++dropped_;
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
        return std::max(jittered, std::min(refused_retry, std::chrono::milliseconds(answer.retry_after_s * 1000)));
    }

    const Options options_;
    const std::string client_id_;
    std::mutex mutex_;
    std::condition_variable wake_, idle_;
    std::deque<std::pair<std::uint64_t, std::string>> queue_; // by number, so that a sent batch is found again
    std::uint64_t pushed_ = 0, seq_ = 0;
    std::size_t dropped_ = 0, batch_ = batch_events;
    int failures_ = 0, state_ = -1;
    Login session_; // of the newest login that may be under way; stays in place after its end
    bool stopping_ = false;
    std::thread sender_;
};

// Your handler, with the reporter in front of it. It takes the reporter and then whatever your handler's constructor takes.
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
        reporter_->token_will_expire(static_cast<int>(second)); // negative for a token that has ended
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
