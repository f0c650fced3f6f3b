/* An app in TypeScript, for the compiler alone: the tap's types fit the SDK's own. */
import { ZIM } from "zego-zim-web";

import byDefault, { ZimTap, install } from "../../../sidecar/sdk/tap/zim-tap.mjs";
import type { Tap, TapOptions, TapStatus } from "../../../sidecar/sdk/tap/zim-tap.js";

const options: TapOptions = {
  endpoint: "https://zimwatch.example.com",
  ingestToken: "zwi_",
  appVersion: "4.2.0",
  deviceId: "desk",
  enabled: true,
  heartbeatSeconds: 15,
  queue: false,
  queueBytes: 1_000_000,
  onProblem: (text) => text.toUpperCase(),
};
const tap: Tap = ZimTap.install(ZIM, options);
const other: Tap = globalThis.ZimTap.install(ZIM, { endpoint: "https://zimwatch.example.com" });
const same: typeof install = byDefault.install;
const left: Promise<number> = tap.flush();
const { queued, dropped, problem }: TapStatus = other.status();
tap.uninstall();

// @ts-expect-error the endpoint is required
ZimTap.install(ZIM, { appVersion: "4.2.0" });
// @ts-expect-error a wrong name is an error
ZimTap.install(ZIM, { endpoint: "https://zimwatch.example.com", token: "" });
// @ts-expect-error this is not the SDK's class
ZimTap.install({}, options);
const stopped: Promise<void> = tap.stop();
// @ts-expect-error there is no such function
tap.start();

export { dropped, left, problem, queued, same, stopped };
