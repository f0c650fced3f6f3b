// Fakes the part of the ZIM C++ SDK that the reporter uses, with its names and signatures.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace zim {

enum ZIMConnectionState { ZIM_CONNECTION_STATE_DISCONNECTED, ZIM_CONNECTION_STATE_CONNECTING, ZIM_CONNECTION_STATE_CONNECTED,
                          ZIM_CONNECTION_STATE_RECONNECTING };
enum ZIMConnectionEvent { ZIM_CONNECTION_EVENT_SUCCESS, ZIM_CONNECTION_EVENT_ACTIVE_LOGIN,
                          ZIM_CONNECTION_EVENT_LOGIN_TIMEOUT, ZIM_CONNECTION_EVENT_LOGIN_INTERRUPTED,
                          ZIM_CONNECTION_EVENT_KICKED_OUT };
struct ZIMError { int code = 0; std::string message; };
struct ZIMLoginConfig { std::string userName, token; bool isOfflineLogin = false; };
using ZIMLoggedInCallback = std::function<void(const ZIMError &)>;
using ZIMTokenRenewedCallback = std::function<void(const std::string &, const ZIMError &)>;
class ZIM;

class ZIMEventHandler {
  public:
    virtual ~ZIMEventHandler() = default;
    virtual void onConnectionStateChanged(ZIM *, ZIMConnectionState, ZIMConnectionEvent, const std::string &) {}
    virtual void onTokenWillExpire(ZIM *, unsigned int) {}
};

class ZIM {
  public:
    void setEventHandler(std::shared_ptr<ZIMEventHandler> handler) { handler_ = std::move(handler); }
    void login(const std::string &, const ZIMLoginConfig &, ZIMLoggedInCallback callback) {
        says(2, 0, "{}");
        callback({});
    }
    void logout() { says(0, 0, ""); }
    void renewToken(const std::string &token, ZIMTokenRenewedCallback callback) { callback(token, {}); }
    void says(int state, int event, const std::string &extended_data) {
        handler_->onConnectionStateChanged(this, ZIMConnectionState(state), ZIMConnectionEvent(event), extended_data);
    }
    void warns(int second) { handler_->onTokenWillExpire(this, static_cast<unsigned int>(second)); }

  private:
    std::shared_ptr<ZIMEventHandler> handler_;
};

} // namespace zim
