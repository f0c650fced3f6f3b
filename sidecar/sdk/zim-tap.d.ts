/** What the tap takes beside the SDK's class. Only `endpoint` is required. */
export interface TapOptions {
  /** The http(s) address of the Zimwatch server, such as `https://zimwatch.example.com`. */
  endpoint: string;
  /** A token of scope `ingest`. It stands in the page for all to read: bind it to the app. */
  ingestToken?: string;
  /** Shown beside the user's device; at most 256 characters. */
  appVersion?: string;
  /** Shown beside the user's device; at most 256 characters. */
  deviceId?: string;
  /** A ZIMPlatformType by its name; `Web` unless given. */
  platform?: string;
  /** The SDK's package; `zego-zim-web` unless given. */
  sdkName?: string;
  /** Seconds between signs of life while logged in; 15 unless given, 0 for none. */
  heartbeatSeconds?: number;
  /**
   * Where events wait until they are delivered: in a page the name of an IndexedDB database, in Node.js the path of a
   * folder. `false` keeps them in memory alone.
   */
  queue?: string | false;
  /** How much may wait, in bytes; 2 MiB unless given. */
  queueBytes?: number;
  /** Gets a sentence when events cannot be delivered, or were dropped. */
  onProblem?: (text: string) => void;
}

/** What the tap knows of its queue, as of the last time it looked: pages of one origin share one. */
export interface TapStatus {
  /** Events that wait. */
  queued: number;
  /** Their size, in bytes. */
  queuedBytes: number;
  /** Events that were dropped because the queue was full, or because the server can't take them. */
  dropped: number;
  /** Repeats of RECONNECTING and heartbeats that were dropped because the queue was full. */
  droppedRepeats: number;
  /** Failed attempts since the last one that succeeded. */
  failures: number;
  /** The server's clock less this one's; null before the first answer. */
  clockOffsetMs: number | null;
  /** Why events can't be delivered; null while they can. */
  problem: string | null;
}

export interface Tap {
  /** Sends what waits now. Gives how many events still wait, 0 when all were delivered. Never rejects. */
  flush(): Promise<number>;
  status(): TapStatus;
  /** Puts everything back as it was. What waits is still sent. */
  uninstall(): void;
}

/** What the tap needs of the SDK's class. */
export interface ZimClass {
  create(...given: never[]): unknown;
  readonly prototype: object;
}

/** Call it before `ZIM.create()`. Throws, with nothing changed, where it cannot be installed. */
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
