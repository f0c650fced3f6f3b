// An app with the C++ reporter on a fake SDK. Arguments: scenario, endpoint, the queue's file, a Token04.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "zimwatch_reporter.hpp"

namespace {

zimwatch::Answer post(const std::string &port, const std::string &path, const std::string &body) {
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    timeval limit{10, 0};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    zimwatch::Answer answer;
    std::string got;
    if (connect(connection, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0) {
        const std::string request = "POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" + port +
                                    "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " +
                                    std::to_string(body.size()) + "\r\n\r\n" + body;
        for (std::size_t sent = 0; sent < request.size();) {
            const ssize_t some = send(connection, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
            if (some <= 0) break;
            sent += static_cast<std::size_t>(some);
        }
        char buffer[4096];
        for (ssize_t some; (some = recv(connection, buffer, sizeof buffer, 0)) > 0;) got.append(buffer, static_cast<std::size_t>(some));
    }
    close(connection);
    if (got.size() > 12) answer.status = std::atoi(got.c_str() + 9);
    const auto after = got.find("Retry-After: ");
    if (after != std::string::npos) answer.retry_after_s = std::atol(got.c_str() + after + 13);
    const auto end = got.find("\r\n\r\n");
    if (end != std::string::npos) answer.body = got.substr(end + 4);
    return answer;
}

struct Handler : zim::ZIMEventHandler {
    int seen = 0;
    void onConnectionStateChanged(zim::ZIM *, zim::ZIMConnectionState, zim::ZIMConnectionEvent, const std::string &) override { ++seen; }
    void onTokenWillExpire(zim::ZIM *, unsigned int) override { ++seen; }
};

} // namespace

int main(int, char **arguments) {
    const std::string scenario = arguments[1], endpoint = arguments[2], file = arguments[3], token = arguments[4];
    const std::string port = endpoint.substr(endpoint.rfind(':') + 1);
    zimwatch::Options options;
    options.app_id = 1234567890;
    options.platform = "Linux";
    options.sdk_version = "2.28.0";
    options.app_version = "4.2";
    options.device_id = "port";
    options.queue_file = file;
    options.most_events = scenario == "bounded" ? 10 : 2000;
    options.first_retry = std::chrono::milliseconds(20);
    if (scenario == "heart" || scenario == "silent" || scenario == "kit" || scenario == "consent") options.heartbeat = std::chrono::milliseconds(30);
    options.post = [port](const std::string &path, const std::string &body) { return post(port, path, body); };
    if (scenario == "proof") options.assertion = [](const std::string &user_id) { return "of " + user_id; };
    auto reporter = std::make_shared<zimwatch::Reporter>(options);
    zim::ZIM sdk;
    auto handler = std::make_shared<zimwatch::Watched<Handler>>(reporter);
    sdk.setEventHandler(handler);
    const auto log_in = [&](const std::string &secret) {
        zim::ZIMLoginConfig config;
        config.userName = "Carol's nickname";
        config.token = secret;
        zimwatch::login(reporter, &sdk, "carol", config, {});
    };
    if (scenario == "life") {
        log_in(token);
        sdk.warns(-5);
        zimwatch::renew_token(reporter, &sdk, token, {});
        sdk.says(0, 4, "{\"message\":\"\xe6\x96\xad\xe7\xba\xbf \xf0\x9f\x99\x82 \xed\xa0\x80\"}");
        log_in("a secret");
        sdk.says(3, 3, "");
        sdk.says(3, 3, "");
        sdk.says(7, 9, "of a later version");
        reporter->api_error("queryUsersInfo", 6000121, "not logged in");
        zimwatch::logout(reporter, &sdk);
    } else if (scenario == "proof") {
        for (const std::string user : {"alice", "bob"}) {
            zimwatch::login(reporter, &sdk, user, {}, {});
            zimwatch::logout(reporter, &sdk);
        }
    } else if (scenario == "heart") {
        log_in(token);
        std::cin.get(); // until the test has heard enough
        zimwatch::logout(reporter, &sdk);
    } else if (scenario == "silent") {
        log_in(token);
        sdk.says(3, 3, "");
        reporter->logout_called();
        sdk.says(3, 3, "");
        std::cin.get(); // a heartbeat would have come long before
    } else if (scenario == "kit") {
        sdk.says(1, 1, "");
        sdk.says(2, 0, "");
        reporter->logged_in("carol");
        reporter->logged_in("carol");
        std::cin.get(); // until the test has heard enough
        reporter->logout_called();
    } else if (scenario == "consent") {
        log_in(token);
        reporter->stop();
        sdk.says(3, 3, "");
        reporter->api_error("queryUsersInfo", 6000121, "not logged in");
        std::cin.get(); // a heartbeat would have come long before
        sdk.says(2, 0, "");
        reporter->start();
        zimwatch::logout(reporter, &sdk);
    } else if (scenario == "bounded") {
        for (int count = 0; count < 50; ++count) sdk.says(3, 3, "");
    }
    const bool empty = reporter->flush(std::chrono::milliseconds(port == "9" ? 200 : 30000));
    std::cout << "{\"empty\":" << (empty ? "true" : "false") << ",\"dropped\":" << reporter->dropped()
              << ",\"handled\":" << handler->seen << "}";
}
