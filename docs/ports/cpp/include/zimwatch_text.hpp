// The texts of zimwatch_reporter.hpp: ids, times, JSON strings and the expiry of a token. C++17, no dependencies.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>

namespace zimwatch {

inline std::int64_t now_ms() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

// UUID version 7 (RFC 9562): milliseconds first, so that ids sort by time.
inline std::string uuid() {
    static thread_local std::random_device random;
    const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, now_ms())); // a clock may be before 1970
    char text[37];
    std::snprintf(text, sizeof text, "%08x-%04x-7%03x-%04x-%04x%08x", static_cast<unsigned>(ms >> 16),
                  static_cast<unsigned>(ms & 0xffff), random() & 0xfff, (random() & 0x3fff) | 0x8000, random() & 0xffff,
                  random() & 0xffffffff);
    return text;
}

// RFC 3339, UTC.
inline std::string time_text(std::int64_t ms) {
    const std::int64_t part = (ms % 1000 + 1000) % 1000; // a clock may be before 1970
    const std::time_t seconds = static_cast<std::time_t>((ms - part) / 1000);
    std::tm utc{};
#ifdef _WIN32
    gmtime_s(&utc, &seconds);
#else
    gmtime_r(&seconds, &utc);
#endif
    char text[96];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                  utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(part));
    return text;
}

// A JSON string. Invalid UTF-8 becomes U+FFFD; cut after 60,000 bytes.
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
            const unsigned char second = byte(at + 1); // not overlong, a surrogate, or past U+10FFFF
            good = !(lead == 0xe0 && second < 0xa0) && !(lead == 0xed && second > 0x9f) &&
                   !(lead == 0xf0 && second < 0x90) && !(lead == 0xf4 && second > 0x8f);
        }
        char escape[7];
        if (!good) out += "\\ufffd";
        else if (lead < 0x20) std::snprintf(escape, sizeof escape, "\\u%04x", lead), out += escape;
        else out.append(lead == '"' || lead == '\\' ? "\\" : "").append(text, at, length);
        at += good ? length : 1;
    }
    return out + "\"";
}

// The text of a JSON string of quoted(), from behind its first quote.
inline std::string unquoted(const std::string &json, std::size_t at) {
    std::string out;
    for (; at < json.size() && json[at] != '"'; ++at) {
        if (json[at] != '\\') out += json[at];
        else if (json[++at] != 'u') out += json[at];
        else {
            const std::string digits = json.substr(std::min(at + 1, json.size()), 4);
            if (digits == "fffd") out += "\xef\xbf\xbd";
            else out += static_cast<char>(std::strtol(digits.c_str(), nullptr, 16)); // below 0x20
            at += 4;
        }
    }
    return out;
}

// The expiry of a Token04 as JSON: "04" and base64; the first eight bytes are Unix seconds, big-endian, unencrypted.
inline std::string expiry_of(const std::string &token) {
    static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (token.size() < 14 || token.compare(0, 2, "04") != 0) return "null";
    std::uint64_t seconds = 0;
    for (std::size_t index = 2; index < 13; ++index) { // eleven digits are 66 bits: drop two
        const auto digit = digits.find(token[index]);
        if (digit == std::string::npos) return "null";
        seconds = index < 12 ? seconds << 6 | digit : seconds << 4 | digit >> 2;
    }
    const bool likely = seconds >= 946684800 && seconds < 7258118400; // the years 2000 to 2199
    return likely ? quoted(time_text(static_cast<std::int64_t>(seconds) * 1000)) : "null";
}

} // namespace zimwatch
