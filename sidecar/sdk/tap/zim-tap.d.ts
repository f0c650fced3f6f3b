/** The options of the tap. Only `endpoint` is required. */
export interface TapOptions {
  /** The http(s) address of the Zimwatch server, such as `https://zimwatch.example.com`. */
  endpoint: string;
  /** `false`: nothing is changed, recorded or sent, for example without the user's consent. */
  enabled?: boolean;
  /** A token of scope `ingest`. Everyone can read it in the page: bind it to the app. */
  ingestToken?: string;
  /** Shown beside the user's device; at most 256 characters. */
  appVersion?: string;
  /** Shown beside the user's device; at most 256 characters. */
  deviceId?: string;
  /** The name of a ZIMPlatformType; default `Web`. */
  platform?: string;
  /** The SDK's package; default `zego-zim-web`. */
  sdkName?: string;
  /** Seconds between heartbeats while logged in; default 15, until the server requests another; 0 for none. */
  heartbeatSeconds?: number;
  /**
   * The queue of undelivered events: in a page the name of an IndexedDB database, in Node.js the path of a folder.
   * `false` keeps it in memory only.
   */
  queue?: string | false;
  /** The limit of the queue in bytes; default 2 MiB. */
  queueBytes?: number;
  /**
   * Returns the app backend's assertion for this user, whose events are about to be sent, or nothing where it vouches
   * for nobody. Where it throws or rejects, the events wait.
   */
  assertion?: (userId: string) => string | null | undefined | Promise<string | null | undefined>;
  /** Called with a sentence when events cannot be delivered, or were dropped. */
  onProblem?: (text: string) => void;
}

/** The state of the queue, as of its last use: pages of one origin share one. */
export interface TapStatus {
  /** Undelivered events. */
  queued: number;
  /** Their size, in bytes. */
  queuedBytes: number;
  /** Events dropped because the queue was full, or because the server refused them. */
  dropped: number;
  /** Repeats of RECONNECTING and heartbeats dropped because the queue was full. */
  droppedRepeats: number;
  /** Failed attempts since the last success. */
  failures: number;
  /** The server's clock minus this one; null before the first answer. */
  clockOffsetMs: number | null;
  /** Why events can't be delivered; null while they can. */
  problem: string | null;
}

export interface Tap {
  /** Sends queued events now. Resolves to the number that still wait, 0 when all were delivered. Never rejects. */
  flush(): Promise<number>;
  status(): TapStatus;
  /** Restores the SDK. Queued events are still sent. */
  uninstall(): void;
  /** Restores the SDK, ends heartbeats, and discards queued events, for example when consent is withdrawn. Never rejects. */
  stop(): Promise<void>;
}

/** The part of the SDK's class that the tap uses. */
export interface ZimClass {
  create(...given: never[]): unknown;
  readonly prototype: object;
}

/** Call it before `ZIM.create()`. If it cannot be installed it throws, and changes nothing. */
export function install(ZIM: ZimClass, options: TapOptions): Tap;

export interface ZimTapObject {
  readonly install: typeof install;
}

export const ZimTap: ZimTapObject;
export default ZimTap;

declare global {
  /** Set by the script. */
  var ZimTap: ZimTapObject;
}
