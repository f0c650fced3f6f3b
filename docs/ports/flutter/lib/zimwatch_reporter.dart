// Reports the connection events of the ZIM Flutter SDK to a Zimwatch server: wire version 1. For Android, iOS, macOS and
// Windows. NOT COMPILED OR RUN by this project: there was no Dart on its machines. Needs Dart 2.15 or newer (Enum.name).
//
//   final reporter = ZimwatchReporter(ZimwatchOptions(...));      // once a process, before ZIM.create()
//   ZIMEventHandler.onConnectionStateChanged = reporter.connectionStateChanged((zim, state, event, extendedData) { ... });
//   ZIMEventHandler.onTokenWillExpire = reporter.tokenWillExpire((zim, second) { ... });
//   await reporter.login(zim, userID, config);                    // for zim.login(userID, config)
//   reporter.logout(zim);                                         // for zim.logout()
//   await reporter.renewToken(zim, token);                        // for zim.renewToken(token)
//   reporter.loggedIn(userID);                                    // after a login by a UI kit
//
// Events are recorded before your handler or the SDK's call runs, are sent in batches, and wait in a file while the server
// is unreachable. Of a token only the expiry is read; tokens and names are never sent.
import 'dart:async';
import 'dart:collection';
import 'dart:convert';
import 'dart:io';
import 'dart:math';
import 'dart:typed_data';

import 'package:flutter/services.dart' show PlatformException;
import 'package:zego_zim/zego_zim.dart';

class ZimwatchOptions {
  const ZimwatchOptions({
    required this.endpoint,
    required this.appID,
    required this.platform,
    required this.queueFile,
    this.ingestToken,
    this.sdkVersion,
    this.appVersion,
    this.deviceId,
    this.mostEvents = 2000,
    this.heartbeat = const Duration(seconds: 15),
    this.assertion,
  });

  final String endpoint; // the server's address: https://zimwatch.example.com
  final int appID;
  final String platform; // the name of a ZIMPlatformType: Android, IPhoneOS, MacOS, Win
  final File queueFile; // used by this process alone, in getApplicationSupportDirectory()
  final String? ingestToken, sdkVersion, appVersion, deviceId;
  final int mostEvents; // past this the oldest are dropped
  final Duration heartbeat; // until the server requests another interval; zero: none

  /// Your backend's assertion for this user, whose events are about to be sent, or null. It vouches for the user. Where it
  /// throws, or takes more than 10 s, the events wait.
  final Future<String?> Function(String userID)? assertion;
}

/// One login, from the call to DISCONNECTED, or to a logout unless CONNECTED follows.
class ZimwatchSession {
  ZimwatchSession._(this.userID);

  final String id = _uuid();
  final String userID;
  bool _ended = false;
  bool _left = false; // logout was called: the SDK gives no callback for it while reconnecting

  bool get _live => !_ended && !_left;
}

class _Answer {
  const _Answer(this.status, this.body); // status 0: no connection

  final int status;
  final String body;
}

class ZimwatchReporter {
  ZimwatchReporter(this._options) {
    _heartbeat = _options.heartbeat;
    _disk = _load();
    _disk.then((_) => _schedule(Duration.zero));
    _scheduleHeartbeat();
  }

  static const _batchEvents = 100;
  static const _gather = Duration(milliseconds: 50); // batches a call with the callbacks inside it
  static const _answerWithin = Duration(seconds: 10);
  static const _firstRetryMs = 1000, _longestRetryMs = 30000, _refusedRetryMs = 300000;
  static const _longestText = 65536, _longestHeartbeatS = 3600;
  static const _version = '1.0.0'; // of Zimwatch, at the time of copying

  final ZimwatchOptions _options;
  final String _clientID = _uuid();
  final Queue<String> _queue = Queue(); // JSON; the file holds the same
  final Random _random = Random();
  final Stopwatch _sinceHeld = Stopwatch()..start();
  Duration _heldFor = Duration.zero;
  late Future<void> _disk; // pending writes, in order
  Timer? _heart, _next;
  bool _sending = false;
  ZimwatchSession? _session; // of the latest login; stays set after its end
  String? _state;
  Map<String, Object?> _last = {}; // of the last callback
  late Duration _heartbeat;
  bool _refusalLogged = false, _disposed = false, _stopped = false;
  bool _discarded = false; // what was stored before, also where it is not read yet
  int _seq = 0, _inFlight = 0, _batch = _batchEvents, _failures = 0, _dropped = 0;

  /// What the disk holds from before counts once it is read.
  int get waiting => _queue.length;
  int get dropped => _dropped;

  /// Records and sends nothing more, and discards the queue: for users who withdraw their consent.
  void stop() {
    _stopped = _discarded = true;
    _queue.clear();
    _inFlight = 0;
    _save();
  }

  /// Records again, beginning with the SDK's present state.
  void start() {
    _stopped = false;
    if (_session != null && _session!._live && _state != null) _record(_session, 'connection_state_changed', _last);
  }

  void dispose() {
    _disposed = true;
    _heart?.cancel();
    _next?.cancel();
  }

  /// Your handler, called after the reporter. Names, not `.index`: the Dart enums begin with `unknown`.
  void Function(ZIM, ZIMConnectionState, ZIMConnectionEvent, Map) connectionStateChanged(
      [void Function(ZIM, ZIMConnectionState, ZIMConnectionEvent, Map)? handler]) {
    return (zim, state, event, extendedData) {
      _state = state.name;
      _last = {'state': state.name, 'event': event.name, 'extended_data': _text(_encoded(extendedData))};
      _record(_session, 'connection_state_changed', _last);
      if (state == ZIMConnectionState.disconnected) _session?._ended = true;
      if (state == ZIMConnectionState.connected) _session?._left = false; // the logout had no effect
      handler?.call(zim, state, event, extendedData);
    };
  }

  void Function(ZIM, int) tokenWillExpire([void Function(ZIM, int)? handler]) {
    return (zim, second) {
      _record(_session, 'token_will_expire', {'second': second});
      handler?.call(zim, second);
    };
  }

  Future<void> login(ZIM zim, String userID, ZIMLoginConfig config) async {
    final of = loginCalled(userID, config.token, config.isOfflineLogin);
    try {
      await zim.login(userID, config);
      loginEnded(of, 0, '');
    } on PlatformException catch (error) {
      loginEnded(of, int.tryParse(error.code) ?? -1, error.message);
      rethrow;
    }
  }

  void logout(ZIM zim) {
    logoutCalled();
    zim.logout();
  }

  /// Records a login that was not made through here, as by a UI kit, and repeats the last callback for this user.
  /// Does nothing while that login lasts.
  void loggedIn(String userID) {
    final known = _session;
    if (known != null && known._live && known.userID == userID) return;
    final of = _session = ZimwatchSession._(userID);
    _record(of, 'login', {'offline_login': false, 'token_expires_at': null});
    _record(of, 'login_result', {'code': 0, 'message': ''});
    if (_state != null && _state != 'disconnected') {
      _record(of, 'connection_state_changed', _last);
    } else {
      _state = null;
    }
  }

  /// Call it before a logout that is not made through here.
  void logoutCalled() {
    _record(_session, 'logout', {});
    _session?._left = true;
  }

  Future<ZIMTokenRenewedResult> renewToken(ZIM zim, String token) async {
    try {
      final result = await zim.renewToken(token);
      _record(_session, 'token_renewed', {'code': 0, 'token_expires_at': _expiryOf(token)});
      return result;
    } on PlatformException catch (error) {
      _record(_session, 'token_renewed', {'code': int.tryParse(error.code) ?? -1, 'token_expires_at': null});
      rethrow;
    }
  }

  void apiError(String method, PlatformException error) {
    _record(_session, 'api_error',
        {'method': method, 'code': int.tryParse(error.code) ?? -1, 'message': _text(error.message)});
  }

  /// A second login of the same user joins the first; the SDK rejects one for another user.
  ZimwatchSession loginCalled(String userID, String token, bool offline) {
    final known = _session;
    final live = known != null && known._live;
    final of = live && known.userID == userID ? known : ZimwatchSession._(userID);
    if (!live) {
      _session = of;
      _state = null;
    }
    _record(of, 'login', {'offline_login': offline, 'token_expires_at': _expiryOf(token)});
    return of;
  }

  void loginEnded(ZimwatchSession of, int code, String? message) {
    _record(of, 'login_result', {'code': code, 'message': _text(message)});
    if (code != 0 && _state != 'connected' && _state != 'reconnecting') of._ended = true;
  }

  void _scheduleHeartbeat() {
    _heart?.cancel();
    if (_options.heartbeat <= Duration.zero || _disposed) return;
    // By chance, so that many clients do not send together, and never later than requested.
    _heart = Timer(_heartbeat * (0.8 + _random.nextDouble() / 5), () {
      _scheduleHeartbeat();
      _sendHeartbeat();
    });
  }

  void _sendHeartbeat() {
    final session = _session;
    // A queued event serves as a sign of life.
    if (_stopped || session == null || !session._live || _state == null || _queue.isNotEmpty) return;
    if (_held > Duration.zero) return;
    final user = session.userID.isEmpty ? null : session.userID;
    _post('[${_json(session, 'heartbeat', {'state': _state})}]', user).then(_handleAnswer); // not retried: another follows
  }

  /// Handles the answer; false if the server did not accept the request.
  bool _handleAnswer(_Answer answer) {
    // A proxy may answer 200 too; only the server itself returns how many it accepted.
    if (answer.status != 200) return false;
    try {
      final result = jsonDecode(answer.body);
      if (result is! Map || result['accepted'] is! int) return false;
      final after = result['heartbeat_after_s'];
      if (after is num && after >= 1 && after <= _longestHeartbeatS && _heartbeat.inMilliseconds != (after * 1000).round()) {
        _heartbeat = Duration(milliseconds: (after * 1000).round());
        _scheduleHeartbeat();
      }
      final rejected = result['rejected'], more = result['rejected_more'];
      if (rejected is List && rejected.isNotEmpty) {
        final first = rejected.first;
        _refused(first is Map ? first['error'] : null, rejected.length + (more is int ? more : 0));
      }
      return true;
    } on FormatException {
      return false;
    }
  }

  /// Counts events that are refused for good, and logs the first.
  void _refused(Object? why, int count) {
    _dropped += count;
    // ignore: avoid_print
    if (!_refusalLogged) print('Zimwatch: the server refused an event ($why)');
    _refusalLogged = true;
  }

  String _json(ZimwatchSession? of, String type, Map<String, Object?> fields) => jsonEncode({
        'id': _uuid(),
        'type': type,
        'occurred_at': _time(DateTime.now()),
        'client_id': _clientID,
        'seq': ++_seq,
        'session_id': of?.id,
        'app_id': _options.appID,
        'user_id': of == null || of.userID.isEmpty ? null : of.userID,
        'platform': _options.platform,
        'sdk': {'name': 'zego_zim', 'version': _options.sdkVersion},
        'app_version': _options.appVersion,
        'device_id': _options.deviceId,
        'reporter': {'name': 'zimwatch-flutter', 'version': _version},
        ...fields,
      });

  void _record(ZimwatchSession? of, String type, Map<String, Object?> fields) {
    if (_stopped) return;
    _queue.add(_json(of, type, fields));
    if (_queue.length > _options.mostEvents) {
      _queue.removeFirst();
      _inFlight = max(0, _inFlight - 1);
      _dropped++;
      _save();
    } else {
      final line = '${_queue.last}\n';
      _onDisk(() => _options.queueFile.writeAsString(line, mode: FileMode.append));
    }
    _schedule(_gather);
  }

  /// How long the server wants nothing to be sent, by its Retry-After; heartbeats neither.
  Duration get _held => _heldFor - _sinceHeld.elapsed;

  void _schedule(Duration after) {
    if (_next != null || _sending || _queue.isEmpty) return;
    _next = Timer(after > _held ? after : _held, () async {
      _next = null;
      _sending = true;
      final pause = _queue.isEmpty ? Duration.zero : await _send();
      _sending = false;
      _schedule(pause);
    });
  }

  /// Sends one batch; returns the pause before the next.
  Future<Duration> _send() async {
    final next = _queue.take(_batch).toList();
    final user = _options.assertion == null ? null : _firstUser(next);
    // An assertion is of one user.
    final some = user == null ? next : next.takeWhile((event) => (_userOf(event) ?? user) == user).toList();
    _inFlight = some.length; // minus what overflow drops meanwhile
    final answer = await _post('[${some.join(',')}]', user);
    final accepted = _handleAnswer(answer);
    final never = answer.status == 400 || answer.status == 413;
    if (never && some.length > 1) {
      _batch = (some.length + 1) ~/ 2; // half may pass; an event refused alone is refused for ever
      return _gather;
    }
    if (accepted || never) {
      if (never) _refused(answer.status, 1);
      for (; _inFlight > 0; _inFlight--) {
        _queue.removeFirst();
      }
      _save();
      _failures = 0;
      _batch = min(_batchEvents, _batch * 2);
      return _gather;
    }
    final refused = answer.status > 400 && answer.status < 500 && answer.status != 429;
    final full = min(_firstRetryMs << min(_failures++, 10), refused ? _refusedRetryMs : _longestRetryMs);
    final jittered = full ~/ 2 + _random.nextInt(full ~/ 2 + 1);
    return Duration(milliseconds: jittered);
  }

  Future<_Answer> _post(String body, String? user) async {
    final client = HttpClient()..connectionTimeout = _answerWithin;
    try {
      final assertion = _options.assertion;
      final proof = assertion == null || user == null ? null : await assertion(user).timeout(_answerWithin);
      if (_stopped) return const _Answer(0, '');
      // From sent_at the server corrects the times of a wrong clock.
      final address = '${_options.endpoint}/v1/events?sent_at=${_time(DateTime.now())}';
      final request = await client.postUrl(Uri.parse(address));
      request.followRedirects = false; // a redirect is not a delivery
      request.headers.contentType = ContentType.json;
      if (_options.ingestToken != null) request.headers.set('Authorization', 'Bearer ${_options.ingestToken}');
      if (proof != null) request.headers.set('Zimwatch-Assertion', proof);
      request.add(utf8.encode(body)); // a lone surrogate becomes U+FFFD
      final response = await request.close().timeout(_answerWithin);
      final text = await response.transform(const Utf8Decoder(allowMalformed: true)).join().timeout(_answerWithin);
      final after = int.tryParse(response.headers.value('Retry-After') ?? '') ?? 0;
      if (after > 0) {
        _heldFor = Duration(milliseconds: min(after * 1000, _refusedRetryMs));
        _sinceHeld.reset();
      }
      return _Answer(response.statusCode, text);
    } catch (_) {
      return const _Answer(0, '');
    } finally {
      client.close(force: true);
    }
  }

  Future<void> _load() async {
    try {
      final lines = await _options.queueFile.readAsLines();
      if (_discarded) return;
      // Before events recorded meanwhile; complete lines only.
      lines.where((line) => line.startsWith('{') && line.endsWith('}')).toList().reversed.forEach(_queue.addFirst);
    } on FileSystemException {
      // The first start.
    }
  }

  void _save() {
    final all = _queue.map((line) => '$line\n').join();
    _onDisk(() async {
      final fresh = await File('${_options.queueFile.path}.new').writeAsString(all);
      await fresh.rename(_options.queueFile.path); // atomic
    });
  }

  void _onDisk(Future<Object?> Function() work) {
    _disk = _disk.then((_) => work()).then((_) {}, onError: (_) {}); // on a full disk the queue is still in memory
  }
}

String _encoded(Map extendedData) {
  try {
    return jsonEncode(extendedData);
  } on JsonUnsupportedObjectError {
    return extendedData.toString();
  }
}

/// The user of an event; null without one.
String? _userOf(String event) {
  try {
    final read = jsonDecode(event);
    final own = read is Map ? read['user_id'] : null;
    return own is String ? own : null;
  } on FormatException {
    return null;
  }
}

String? _firstUser(List<String> events) {
  for (final event in events) {
    final own = _userOf(event);
    if (own != null) return own;
  }
  return null;
}

String? _text(String? value) =>
    value == null || value.length <= ZimwatchReporter._longestText ? value : value.substring(0, ZimwatchReporter._longestText);

String _time(DateTime moment) {
  final utc = DateTime.fromMillisecondsSinceEpoch(moment.millisecondsSinceEpoch, isUtc: true);
  return utc.toIso8601String(); // RFC 3339, UTC, milliseconds
}

/// UUID version 7 (RFC 9562): milliseconds first, so that ids sort by time.
String _uuid() {
  final random = Random.secure();
  final bytes = List.generate(10, (_) => random.nextInt(256));
  bytes[0] = 0x70 | (bytes[0] & 0x0f);
  bytes[2] = 0x80 | (bytes[2] & 0x3f);
  final ms = max(0, DateTime.now().millisecondsSinceEpoch).toRadixString(16).padLeft(12, '0');
  final hex = ms + bytes.map((byte) => byte.toRadixString(16).padLeft(2, '0')).join();
  return [hex.substring(0, 8), hex.substring(8, 12), hex.substring(12, 16), hex.substring(16, 20), hex.substring(20)].join('-');
}

/// A Token04 is "04" and base64; the first eight bytes are the expiry in Unix seconds, big-endian, unencrypted.
String? _expiryOf(String token) {
  if (token.length < 14 || !token.startsWith('04')) return null;
  try {
    final seconds = ByteData.sublistView(base64.decode(token.substring(2, 14))).getInt64(0);
    final likely = seconds >= 946684800 && seconds < 7258118400; // the years 2000 to 2199
    return likely ? _time(DateTime.fromMillisecondsSinceEpoch(seconds * 1000, isUtc: true)) : null;
  } on FormatException {
    return null;
  }
}
