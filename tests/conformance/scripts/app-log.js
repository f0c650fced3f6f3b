/*
 * An app that uses the real SDK in every way, and logs what it sees, in order. The log must be the same with and without
 * the tap. Runs in a page and in Node.js; returns the lines of the log.
 *
 * The log leaves out what is random: repeats of RECONNECTING, and errors of a destroyed client in a page.
 */
(function (root) {
  "use strict";

  /*
   * Whether an error comes from a destroyed client of the SDK, and not from the tap. `destroy` of zego-zim-web 2.29.0
   * closes the SDK's databases and sets the client's fields to null while reads of a login and timers are still running.
   * The SDK alone fails like this in Chromium, always if `destroy` follows an offline login at once, and sometimes in
   * this app on a busy machine. The error about `onLogout` of a logout before `destroy` always occurs, and is logged.
   */
  root.isFromDestroyedClient = function isFromDestroyedClient(error) {
    const { name, message, stack } = error ?? {};
    if (!/\/sdk\.js:\d/.test(stack) || /zim-tap/.test(stack)) return false;
    return name === "InvalidStateError"
      ? /^Failed to execute 'transaction' on 'IDBDatabase': .* connection is closing\.$/.test(message)
      : name === "TypeError" && /^Cannot read properties of null \(reading '(?!onLogout')\w+'\)$/.test(message);
  };

  root.appLog = async function appLog({ ZIM, token04, watch }) {
    const seen = [];
    const waiting = [];
    let destroyed = false;

    function log(...what) {
      const line = JSON.stringify(what);
      if (line !== seen.at(-1) || what[1] !== "[3,3]") seen.push(line);
      for (const one of waiting.splice(0)) one();
    }

    /* Resolves when the log has a line with these words that came after this call. */
    async function until(...words) {
      const from = seen.length;
      while (!seen.slice(from).some((line) => words.every((word) => line.includes(word)))) {
        await new Promise((resolve) => waiting.push(resolve));
      }
    }

    const plain = (error) => (error instanceof Error ? `${error.name}: ${error.message}` : JSON.stringify(error));
    const fault = (kind) => (error) => {
      if (!destroyed || !root.isFromDestroyedClient(error)) log(kind, plain(error));
    };
    watch({ unhandled: fault("unhandled rejection"), uncaught: fault("uncaught") });

    function settled(name, promise) {
      log(name, "gives", Object.prototype.toString.call(promise), promise instanceof Promise);
      return promise.then(
        (value) => log(name, "resolved", JSON.stringify(value) ?? "undefined"),
        (error) => log(name, "rejected", Object.getPrototypeOf(error) === Object.prototype, plain(error)),
      );
    }

    function thrown(name, work) {
      try {
        log(name, "returns", typeof work());
      } catch (error) {
        log(name, "throws", plain(error));
      }
    }

    const config = (seconds, more = {}) => ({ userName: "Alice", token: token04(seconds), isOfflineLogin: true, ...more });

    thrown("create without an AppID", () => ZIM.create({}));
    const zim = ZIM.create({ appID: 1234 });
    log("instance", zim === ZIM.getInstance(), zim instanceof ZIM, ZIM.create(1234));
    for (const name of ["on", "off", "login", "logout", "renewToken", "destroy"]) {
      const { writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(ZIM.prototype, name);
      log(name, zim[name].length, writable, enumerable, configurable);
    }

    const handler = (name) =>
      function (...given) {
        const [from, data] = given;
        const state = JSON.stringify([data.state, data.event]);
        log(name, state, data.extendedData, this === undefined, from === zim, given.length, Object.keys(data).join());
      };
    thrown("on", () => zim.on("connectionStateChanged", handler("replaced")));
    thrown("on", () => zim.on("connectionStateChanged", handler("first")));
    thrown("on without a handler", () => zim.on("connectionStateChanged", null));
    // One second more or less is chance.
    const left = (data) => [Object.keys(data).join(), data.second > 10, data.second <= 20];
    zim.on("tokenWillExpire", (from, data) => log("token will expire", from === zim, left(data)));

    await settled("login with no token", zim.login("alice", config(0, { token: "" })));
    await settled("login with another version", zim.login({ userID: "alice", userName: "Alice" }, "99abc"));
    await settled("renewal before login", zim.renewToken(token04(60)));
    await settled("query before login", zim.queryUsersInfo(["bob"], { isQueryFromServer: true }));
    zim.login("alice", config(0, { token: "garbage" })); // nobody looks at it
    await until("unhandled rejection");
    zim.renewToken("garbage");
    await until("unhandled rejection");
    const swallowed = zim.login("alice", config(0, { token: "garbage" }));
    swallowed.catch(() => log("swallowed"));
    await until("swallowed");

    const first = settled("offline login", zim.login("alice", config(20)));
    log("after the call of login");
    await first;
    await settled("login as another user", zim.login("bob", config(60)));
    await settled("login again", zim.login("alice", config(60)));
    await until("first", "[3,3]");

    zim.on("connectionStateChanged", (_zim, data) => {
      log("throwing", JSON.stringify([data.state, data.event]));
      data.state = 99;
      throw new Error("the app's own");
    });
    await until("uncaught");
    log("before logout");
    thrown("logout", () => zim.logout());
    log("after logout");

    zim.on("connectionStateChanged", handler("second"));
    thrown("off", () => zim.off("connectionStateChanged"));
    await settled("login that nobody listens to", zim.login("alice", config(60)));
    thrown("logout", () => zim.logout());
    zim.on("connectionStateChanged", handler("third"));
    const pending = zim.login("alice", config(60, { isOfflineLogin: false }));
    pending.then(
      () => log("pending: resolved"),
      () => log("pending: rejected"),
    );
    await until("third", "[3,3]");
    log("before logout");
    thrown("logout", () => zim.logout({ isClearDB: false }));
    log("after logout");

    destroyed = true;
    thrown("destroy", () => zim.destroy());
    thrown("on after destroy", () => zim.on("connectionStateChanged", handler("never")));
    thrown("logout after destroy", () => zim.logout());
    await settled("login after destroy", zim.login("alice", config(60)));
    const next = ZIM.create(1234);
    log("created again", next !== zim);
    next.on("connectionStateChanged", (_zim, data) => log("next", JSON.stringify([data.state, data.event])));
    await settled("login of the next", next.login("alice", config(20)));
    next.off();
    thrown("logout of the next", () => next.logout());

    return seen;
  };
})(globalThis);
