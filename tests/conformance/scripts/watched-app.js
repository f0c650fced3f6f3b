/*
 * A usual app on the real SDK: one user logs in offline and stays until the token expires. Runs in a page and in Node.js.
 * `say` gets an object for each callback and each step.
 *
 * The SDK's own callbacks are recorded below the tap, by a listener between the two.
 */
(function (root) {
  "use strict";

  const TOKEN_EXPIRED = 5;

  root.watchedApp = async function watchedApp({ ZIM, ZimTap, appId, userId, userName, token, say, ...options }) {
    const on = ZIM.prototype.on;
    ZIM.prototype.on = function (type, listener) {
      return on.call(this, type, function (zim, data) {
        say({ from: "sdk", type, data: { ...data } });
        return listener.apply(this, arguments);
      });
    };

    const tap = ZimTap.install(ZIM, { appVersion: "1.0", deviceId: "conformance", ...options });
    root.tap = tap; // for the test
    const zim = ZIM.create({ appID: appId });
    const expired = new Promise((resolve) => {
      zim.on("connectionStateChanged", (_zim, data) => {
        say({ from: "app", type: "connectionStateChanged", data: { ...data } });
        if (data.event === TOKEN_EXPIRED) resolve();
        data.state = 1; // the app may do with the data what it likes
        data.extendedData = "changed by the app";
      });
    });
    zim.on("tokenWillExpire", (_zim, data) => say({ from: "app", type: "tokenWillExpire", data: { ...data } }));

    say({ from: "app", type: "ready" });
    await zim.login(userId, { userName, token, isOfflineLogin: true, customStatus: "", customStatusDuration: 0 });
    await expired;
    say({ from: "app", type: "done", waiting: await tap.flush() });
  };
})(globalThis);
