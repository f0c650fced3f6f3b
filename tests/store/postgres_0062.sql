CREATE TABLE account_links (
    secret_sha256 bytea NOT NULL,
    account_id bigint NOT NULL,
    until_us bigint NOT NULL
);
CREATE TABLE accounts (
    id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL COLLATE pg_catalog."C",
    apps text COLLATE pg_catalog."C",
    password_hash text COLLATE pg_catalog."C",
    totp_secret bytea,
    totp_step bigint,
    created_at_us bigint NOT NULL,
    password_changed_at_us bigint,
    signed_in_at_us bigint,
    disabled_at_us bigint
);
CREATE SEQUENCE accounts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE accounts_id_seq OWNED BY accounts.id;
CREATE TABLE alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE alert_counts (
    kind text NOT NULL COLLATE pg_catalog."C",
    app_id bigint NOT NULL,
    firing integer NOT NULL
);
CREATE TABLE alert_cursors (
    name text NOT NULL COLLATE pg_catalog."C",
    at_us bigint NOT NULL
);
CREATE TABLE alert_history (
    id bigint NOT NULL,
    alert_id bigint NOT NULL,
    at_us bigint NOT NULL,
    what text NOT NULL COLLATE pg_catalog."C",
    who text COLLATE pg_catalog."C",
    "position" bigint,
    text text NOT NULL COLLATE pg_catalog."C"
);
CREATE SEQUENCE alert_history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE alert_history_id_seq OWNED BY alert_history.id;
CREATE TABLE alert_members (
    alert_id bigint NOT NULL,
    app_id bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    at_us bigint NOT NULL
);
CREATE TABLE alert_messages (
    id bigint NOT NULL,
    public_id text NOT NULL COLLATE pg_catalog."C",
    receiver text NOT NULL COLLATE pg_catalog."C",
    what text NOT NULL COLLATE pg_catalog."C",
    alert_id bigint,
    answers bigint,
    alerts integer NOT NULL,
    body text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    attempts integer NOT NULL,
    created_at_us bigint NOT NULL,
    due_at_us bigint NOT NULL,
    tried_at_us bigint,
    sent_at_us bigint,
    error text COLLATE pg_catalog."C",
    proof text COLLATE pg_catalog."C"
);
CREATE SEQUENCE alert_messages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE alert_messages_id_seq OWNED BY alert_messages.id;
CREATE TABLE alert_notifications (
    id bigint NOT NULL,
    alert_id bigint NOT NULL,
    receiver text NOT NULL COLLATE pg_catalog."C",
    what text NOT NULL COLLATE pg_catalog."C",
    grouped text NOT NULL COLLATE pg_catalog."C",
    due_at_us bigint NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    message_id bigint
);
CREATE SEQUENCE alert_notifications_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE alert_notifications_id_seq OWNED BY alert_notifications.id;
CREATE TABLE alert_silences (
    id bigint NOT NULL,
    matchers text NOT NULL COLLATE pg_catalog."C",
    starts_at_us bigint NOT NULL,
    ends_at_us bigint NOT NULL,
    author text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    created_at_us bigint NOT NULL,
    app_id bigint,
    is_over boolean NOT NULL
);
CREATE SEQUENCE alert_silences_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE alert_silences_id_seq OWNED BY alert_silences.id;
CREATE TABLE alerts (
    id bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    severity text NOT NULL COLLATE pg_catalog."C",
    app_id bigint,
    user_id text COLLATE pg_catalog."C",
    other text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    started_at_us bigint NOT NULL,
    opened_at_us bigint NOT NULL,
    ended_at_us bigint,
    end_reason text COLLATE pg_catalog."C",
    count integer NOT NULL,
    "position" bigint,
    due_us bigint,
    summary text NOT NULL COLLATE pg_catalog."C",
    labels text NOT NULL COLLATE pg_catalog."C",
    facts text NOT NULL COLLATE pg_catalog."C",
    suppressed_by text COLLATE pg_catalog."C",
    routed boolean NOT NULL,
    notified boolean NOT NULL,
    repeat_us bigint,
    acknowledged_by text COLLATE pg_catalog."C",
    acknowledged_at_us bigint,
    changed_at_us bigint NOT NULL
);
CREATE SEQUENCE alerts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE alerts_id_seq OWNED BY alerts.id;
CREATE TABLE api_tokens (
    id bigint NOT NULL,
    secret_sha256 bytea NOT NULL,
    hint text NOT NULL COLLATE pg_catalog."C",
    scope text NOT NULL COLLATE pg_catalog."C",
    created_at_us bigint NOT NULL,
    expires_at_us bigint,
    revoked_at_us bigint,
    name text NOT NULL COLLATE pg_catalog."C",
    apps text COLLATE pg_catalog."C",
    origins text NOT NULL COLLATE pg_catalog."C",
    made_by text NOT NULL COLLATE pg_catalog."C",
    made_by_token bigint,
    made_by_account bigint,
    made_by_identity text COLLATE pg_catalog."C",
    last_used_at_us bigint,
    replaced_by bigint,
    ends_with bigint
);
CREATE SEQUENCE api_tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE api_tokens_id_seq OWNED BY api_tokens.id;
CREATE TABLE app_hours (
    app_id bigint NOT NULL,
    hour integer NOT NULL,
    minutes bigint NOT NULL,
    users integer
);
CREATE TABLE audit_log (
    id bigint NOT NULL,
    at_us bigint NOT NULL,
    actor text NOT NULL COLLATE pg_catalog."C",
    action text NOT NULL COLLATE pg_catalog."C",
    subject text COLLATE pg_catalog."C",
    address text COLLATE pg_catalog."C",
    request_id text COLLATE pg_catalog."C",
    details text COLLATE pg_catalog."C",
    hash bytea NOT NULL,
    seal bytea NOT NULL
);
CREATE TABLE audit_marks (
    name text NOT NULL COLLATE pg_catalog."C",
    id bigint NOT NULL,
    at_us bigint NOT NULL,
    hash bytea NOT NULL,
    seal bytea NOT NULL
);
CREATE TABLE audit_subjects (
    pseudonym text NOT NULL COLLATE pg_catalog."C",
    app_id bigint,
    user_id text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE browser_sessions (
    id bigint NOT NULL,
    secret_sha256 bytea NOT NULL,
    owner text NOT NULL COLLATE pg_catalog."C",
    token_id bigint,
    account_id bigint,
    issuer text COLLATE pg_catalog."C",
    subject text COLLATE pg_catalog."C",
    role text COLLATE pg_catalog."C",
    apps text COLLATE pg_catalog."C",
    refresh text COLLATE pg_catalog."C",
    checked_at_us bigint,
    ended text COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    address text NOT NULL COLLATE pg_catalog."C",
    browser text NOT NULL COLLATE pg_catalog."C",
    created_at_us bigint NOT NULL,
    seen_at_us bigint NOT NULL
);
CREATE SEQUENCE browser_sessions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE browser_sessions_id_seq OWNED BY browser_sessions.id;
CREATE TABLE client_blocks (
    user_key bigint NOT NULL,
    client_id bytea NOT NULL,
    last_seq bigint NOT NULL,
    last_id bytea NOT NULL,
    newest_position bigint NOT NULL,
    touched integer NOT NULL,
    positions bytea NOT NULL,
    state bytea NOT NULL
);
CREATE TABLE clients (
    client_key bigint NOT NULL,
    client_id bytea NOT NULL,
    user_key bigint NOT NULL,
    status text NOT NULL COLLATE pg_catalog."C",
    since_us bigint,
    reason text COLLATE pg_catalog."C",
    left_online_us bigint,
    outages integer NOT NULL,
    connection_state text COLLATE pg_catalog."C",
    connection_state_since_us bigint,
    session_id bytea,
    reports_login boolean NOT NULL,
    ended boolean NOT NULL,
    ended_session_id bytea,
    login_at_us bigint,
    token_expires_at_us bigint,
    last_seq bigint NOT NULL,
    last_id bytea NOT NULL,
    platform text COLLATE pg_catalog."C",
    sdk_name text COLLATE pg_catalog."C",
    sdk_version text COLLATE pg_catalog."C",
    app_version text COLLATE pg_catalog."C",
    device_id text COLLATE pg_catalog."C",
    last_position bigint,
    last_seen_at_us bigint NOT NULL,
    sends_heartbeats boolean NOT NULL,
    logged_out boolean NOT NULL,
    clock_off_us bigint NOT NULL,
    touched integer NOT NULL,
    tail_events integer NOT NULL,
    closed_position bigint,
    heartbeat_after_s integer NOT NULL,
    reporter_name text COLLATE pg_catalog."C",
    reporter_version text COLLATE pg_catalog."C"
);
CREATE SEQUENCE clients_client_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE clients_client_key_seq OWNED BY clients.client_key;
CREATE TABLE commits (
    one boolean NOT NULL,
    number bigint NOT NULL,
    CONSTRAINT commits_one_check CHECK (one)
);
CREATE TABLE erasures (
    id bigint NOT NULL,
    app_id bigint NOT NULL,
    user_id text COLLATE pg_catalog."C",
    pseudonym text NOT NULL COLLATE pg_catalog."C",
    asked_at_us bigint NOT NULL,
    began_at_us bigint,
    finished_at_us bigint,
    user_key bigint,
    through_position bigint,
    holding text COLLATE pg_catalog."C",
    cursor bigint NOT NULL,
    removed text NOT NULL COLLATE pg_catalog."C"
);
CREATE SEQUENCE erasures_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE erasures_id_seq OWNED BY erasures.id;
CREATE TABLE events (
    "position" bigint NOT NULL,
    id bytea NOT NULL,
    type text NOT NULL COLLATE pg_catalog."C",
    occurred_at_us bigint NOT NULL,
    received_at_us bigint NOT NULL,
    moment_us bigint NOT NULL,
    client_id bytea NOT NULL,
    seq bigint NOT NULL,
    app_id bigint NOT NULL,
    session_id bytea,
    user_id text COLLATE pg_catalog."C",
    platform text COLLATE pg_catalog."C",
    sdk_name text COLLATE pg_catalog."C",
    sdk_version text COLLATE pg_catalog."C",
    app_version text COLLATE pg_catalog."C",
    device_id text COLLATE pg_catalog."C",
    connection_state text COLLATE pg_catalog."C",
    connection_event text COLLATE pg_catalog."C",
    extended_data text COLLATE pg_catalog."C",
    details text COLLATE pg_catalog."C",
    previous_user_position bigint,
    previous_client_position bigint,
    previous_state text COLLATE pg_catalog."C",
    previous_state_duration_us bigint,
    user_status text COLLATE pg_catalog."C",
    starts_trace boolean,
    reporter_name text COLLATE pg_catalog."C",
    reporter_version text COLLATE pg_catalog."C",
    proven boolean
);
CREATE SEQUENCE events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE events_position_seq OWNED BY events."position";
CREATE TABLE followers (
    name text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL
);
CREATE TABLE happenings (
    user_key bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    minute integer NOT NULL,
    platform text NOT NULL COLLATE pg_catalog."C",
    sdk_version text NOT NULL COLLATE pg_catalog."C",
    app_version text NOT NULL COLLATE pg_catalog."C",
    app_id bigint NOT NULL,
    first_us bigint NOT NULL,
    last_us bigint NOT NULL,
    times integer NOT NULL
);
CREATE TABLE keys (
    name text NOT NULL COLLATE pg_catalog."C",
    value bytea NOT NULL
);
CREATE TABLE kicks (
    app_id bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    device text NOT NULL COLLATE pg_catalog."C",
    at_us bigint NOT NULL
);
CREATE TABLE lease_stretches (
    stretch integer NOT NULL,
    begins_us bigint NOT NULL,
    skipped_us bigint NOT NULL,
    alive_us bigint NOT NULL,
    heartbeat_after_s integer NOT NULL,
    heartbeat_clients integer NOT NULL,
    holds_heartbeats boolean NOT NULL
);
CREATE SEQUENCE lease_stretches_stretch_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE lease_stretches_stretch_seq OWNED BY lease_stretches.stretch;
CREATE TABLE offline_watch (
    app_id bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    since_us bigint NOT NULL,
    late boolean NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE old_reporters (
    app_id bigint NOT NULL,
    day integer NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    version text NOT NULL COLLATE pg_catalog."C",
    devices integer NOT NULL
);
CREATE TABLE pruning_hold (
    hold integer NOT NULL,
    by_us bigint NOT NULL,
    begun_us bigint NOT NULL
);
CREATE SEQUENCE pruning_hold_hold_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE pruning_hold_hold_seq OWNED BY pruning_hold.hold;
CREATE TABLE recovery_codes (
    account_id bigint NOT NULL,
    code_sha256 bytea NOT NULL
);
CREATE TABLE rejected_events (
    rejection bigint NOT NULL,
    received_at_us bigint NOT NULL,
    batch_index integer NOT NULL,
    event_id text COLLATE pg_catalog."C",
    error text NOT NULL COLLATE pg_catalog."C",
    body text NOT NULL COLLATE pg_catalog."C",
    app_id bigint
);
CREATE SEQUENCE rejected_events_rejection_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE rejected_events_rejection_seq OWNED BY rejected_events.rejection;
CREATE TABLE rollups (
    every_app boolean NOT NULL,
    app_id bigint NOT NULL,
    minute integer NOT NULL,
    online integer NOT NULL,
    offline integer NOT NULL,
    not_logged_in integer NOT NULL,
    kicked_out integer NOT NULL,
    token_expired integer NOT NULL,
    logins integer NOT NULL
);
CREATE TABLE server_views (
    app_id bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    words text NOT NULL COLLATE pg_catalog."C",
    differs_since_us bigint
);
CREATE TABLE signed_requests (
    request bytea NOT NULL,
    contents bytea NOT NULL,
    until_us bigint NOT NULL
);
CREATE TABLE span_losses (
    loss bigint NOT NULL,
    lost_at_us bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    spans integer NOT NULL,
    "position" bigint,
    event_id bytea,
    problem text NOT NULL COLLATE pg_catalog."C"
);
CREATE SEQUENCE span_losses_loss_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE span_losses_loss_seq OWNED BY span_losses.loss;
CREATE TABLE span_outbox (
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    is_open boolean NOT NULL,
    spans integer NOT NULL
);
CREATE SEQUENCE span_outbox_first_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE span_outbox_first_position_seq OWNED BY span_outbox.first_position;
CREATE TABLE storm_members (
    kind text NOT NULL COLLATE pg_catalog."C",
    app_id bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    at_us bigint NOT NULL,
    platform text COLLATE pg_catalog."C",
    sdk_version text COLLATE pg_catalog."C",
    app_version text COLLATE pg_catalog."C",
    held boolean NOT NULL,
    code bigint
);
CREATE TABLE storm_windows (
    kind text NOT NULL COLLATE pg_catalog."C",
    app_id bigint NOT NULL,
    users_at_most integer NOT NULL,
    oldest_us bigint NOT NULL
);
CREATE TABLE traces (
    trace_id bytea NOT NULL,
    root_position bigint NOT NULL
);
CREATE TABLE user_groups (
    group_key bigint NOT NULL,
    app_id bigint NOT NULL,
    status text NOT NULL COLLATE pg_catalog."C",
    platform text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    unconfirmed boolean NOT NULL,
    users integer NOT NULL
);
CREATE SEQUENCE user_groups_group_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE user_groups_group_key_seq OWNED BY user_groups.group_key;
CREATE TABLE user_search (
    user_key bigint NOT NULL,
    runs tsvector NOT NULL
);
CREATE TABLE user_status (
    user_key bigint NOT NULL,
    app_id bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    since_us bigint,
    reason text COLLATE pg_catalog."C",
    token_expires_at_us bigint,
    platform text COLLATE pg_catalog."C",
    lease_until_us bigint,
    last_seen_at_us bigint NOT NULL,
    last_position bigint,
    changed_position bigint NOT NULL,
    group_key bigint NOT NULL,
    lease_check_us bigint,
    lease_lapsed boolean NOT NULL,
    clients text NOT NULL COLLATE pg_catalog."C",
    crowded boolean NOT NULL,
    left_elsewhere_us bigint
);
CREATE SEQUENCE user_status_user_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE user_status_user_key_seq OWNED BY user_status.user_key;
CREATE TABLE user_watches (
    id bigint NOT NULL,
    app_id bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    author text NOT NULL COLLATE pg_catalog."C",
    receiver text COLLATE pg_catalog."C",
    created_at_us bigint NOT NULL,
    until_us bigint NOT NULL
);
CREATE SEQUENCE user_watches_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE user_watches_id_seq OWNED BY user_watches.id;
ALTER TABLE ONLY accounts ALTER COLUMN id SET DEFAULT nextval('accounts_id_seq'::regclass);
ALTER TABLE ONLY alert_history ALTER COLUMN id SET DEFAULT nextval('alert_history_id_seq'::regclass);
ALTER TABLE ONLY alert_messages ALTER COLUMN id SET DEFAULT nextval('alert_messages_id_seq'::regclass);
ALTER TABLE ONLY alert_notifications ALTER COLUMN id SET DEFAULT nextval('alert_notifications_id_seq'::regclass);
ALTER TABLE ONLY alert_silences ALTER COLUMN id SET DEFAULT nextval('alert_silences_id_seq'::regclass);
ALTER TABLE ONLY alerts ALTER COLUMN id SET DEFAULT nextval('alerts_id_seq'::regclass);
ALTER TABLE ONLY api_tokens ALTER COLUMN id SET DEFAULT nextval('api_tokens_id_seq'::regclass);
ALTER TABLE ONLY browser_sessions ALTER COLUMN id SET DEFAULT nextval('browser_sessions_id_seq'::regclass);
ALTER TABLE ONLY clients ALTER COLUMN client_key SET DEFAULT nextval('clients_client_key_seq'::regclass);
ALTER TABLE ONLY erasures ALTER COLUMN id SET DEFAULT nextval('erasures_id_seq'::regclass);
ALTER TABLE ONLY events ALTER COLUMN "position" SET DEFAULT nextval('events_position_seq'::regclass);
ALTER TABLE ONLY lease_stretches ALTER COLUMN stretch SET DEFAULT nextval('lease_stretches_stretch_seq'::regclass);
ALTER TABLE ONLY pruning_hold ALTER COLUMN hold SET DEFAULT nextval('pruning_hold_hold_seq'::regclass);
ALTER TABLE ONLY rejected_events ALTER COLUMN rejection SET DEFAULT nextval('rejected_events_rejection_seq'::regclass);
ALTER TABLE ONLY span_losses ALTER COLUMN loss SET DEFAULT nextval('span_losses_loss_seq'::regclass);
ALTER TABLE ONLY span_outbox ALTER COLUMN first_position SET DEFAULT nextval('span_outbox_first_position_seq'::regclass);
ALTER TABLE ONLY user_groups ALTER COLUMN group_key SET DEFAULT nextval('user_groups_group_key_seq'::regclass);
ALTER TABLE ONLY user_status ALTER COLUMN user_key SET DEFAULT nextval('user_status_user_key_seq'::regclass);
ALTER TABLE ONLY user_watches ALTER COLUMN id SET DEFAULT nextval('user_watches_id_seq'::regclass);
INSERT INTO alembic_version VALUES ('0062_tokens_of_identities');
INSERT INTO app_hours VALUES (1234567890, 498734, 1, NULL);
INSERT INTO audit_marks VALUES ('head', 0, 0, '\x7c3ebb953ca1d8cb383da83cf3f1da48922ed888fe3487ce0ac741ea878d8c41', '\xae3dec6f351cdf4dd91ce22304709f15140913098a3702c9ff601bcf5bd85597');
INSERT INTO audit_marks VALUES ('anchor', 0, 0, '\x7c3ebb953ca1d8cb383da83cf3f1da48922ed888fe3487ce0ac741ea878d8c41', '\xe904f5b90794e35678fdf39b45b68d14e5bb410bc8d31ea3045d22d5cf7120bb');
INSERT INTO commits VALUES (true, 0);
INSERT INTO events VALUES (1, '\x874c9b15e0e055a99fbbf56f584c73c5', 'login', 1795442400000000, 1795442400000000, 1795442400000000, '\x3b9b03683d2f59f49a9eab33b4e51c75', 1, 1234567890, '\x642ba2cfe65c5492a862429b07784d65', 'alice', 'Web', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"offline_login":false,"token_expires_at_us":null}', NULL, NULL, NULL, NULL, 'not_logged_in', false, NULL, NULL, NULL);
INSERT INTO events VALUES (2, '\xe48086d61c3058a9a761bc7fe1938afe', 'connection_state_changed', 1795442401000000, 1795442401000000, 1795442401000000, '\x3b9b03683d2f59f49a9eab33b4e51c75', 2, 1234567890, '\x642ba2cfe65c5492a862429b07784d65', 'alice', 'Web', NULL, NULL, NULL, NULL, 'CONNECTING', 'ACTIVE_LOGIN', '', NULL, 1, 1, NULL, NULL, 'not_logged_in', true, NULL, NULL, NULL);
INSERT INTO events VALUES (3, '\x4805595fd65c501090bea0a4f1cb9be8', 'connection_state_changed', 1795442402000000, 1795442402000000, 1795442402000000, '\x3b9b03683d2f59f49a9eab33b4e51c75', 3, 1234567890, '\x642ba2cfe65c5492a862429b07784d65', 'alice', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '', NULL, 2, 2, 'CONNECTING', 1000000, 'online', false, NULL, NULL, NULL);
INSERT INTO events VALUES (4, '\xb2e9e6340a1750c2986d5a4cb838876b', 'login', 1795442403000000, 1795442403000000, 1795442403000000, '\xecab0dccf09d5d3eaac632ca0c5b5a4b', 1, 1234567890, '\x8a1fcec164d850368919b1114e3f17b1', 'bob', 'Web', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"offline_login":false,"token_expires_at_us":null}', NULL, NULL, NULL, NULL, 'not_logged_in', false, NULL, NULL, NULL);
INSERT INTO events VALUES (5, '\x48db2670b2405d6b991e780ed0fafdbe', 'connection_state_changed', 1795442404000000, 1795442404000000, 1795442404000000, '\xecab0dccf09d5d3eaac632ca0c5b5a4b', 2, 1234567890, '\x8a1fcec164d850368919b1114e3f17b1', 'bob', 'Web', NULL, NULL, NULL, NULL, 'DISCONNECTED', 'KICKED_OUT', '', NULL, 4, 4, NULL, NULL, 'not_logged_in', true, NULL, NULL, NULL);
INSERT INTO followers VALUES ('minutes', 5);
INSERT INTO followers VALUES ('spans', 5);
INSERT INTO happenings VALUES (1, 'logged_in', 29924040, 'Web', '', '', 1234567890, 1795442400000000, 1795442400000000, 1);
INSERT INTO happenings VALUES (2, 'logged_in', 29924040, 'Web', '', '', 1234567890, 1795442403000000, 1795442403000000, 1);
INSERT INTO happenings VALUES (2, 'kicked_out', 29924040, 'Web', '', '', 1234567890, 1795442404000000, 1795442404000000, 1);
INSERT INTO keys VALUES ('hand_off', '\x68c896d2c5978535e34f5acf111763ac9930d0738d38eaaec7b3d2ec52bd69f2');
INSERT INTO keys VALUES ('audit', '\x3cd198d0d8c39219b8d597d7b0b97ac09f5d48424f87858e44a3d109df32c689');
INSERT INTO keys VALUES ('audit_subjects', '\x6d8d5d2478aacc8c678d991f6de1ee28a032c665eb56e43ae004931064c27612');
INSERT INTO keys VALUES ('accounts', '\x6f5ba9096b0b22a9818f6085f201aed424ababeafc24c4a1a300367c29942d66');
INSERT INTO lease_stretches VALUES (1, 0, 0, 1795442420000000, 15, 0, false);
INSERT INTO rollups VALUES (false, 1234567890, 29924040, 1, 0, 1, 1, 0, 2);
INSERT INTO rollups VALUES (true, 0, 29924040, 1, 0, 1, 1, 0, 2);
INSERT INTO span_outbox VALUES (2, 5, true, 3);
INSERT INTO traces VALUES ('\x642ba2cfe65c5492a862429b07784d65', 2);
INSERT INTO traces VALUES ('\x8a1fcec164d850368919b1114e3f17b1', 5);
INSERT INTO user_groups VALUES (1, 1234567890, 'online', 'Web', 'SUCCESS', false, 1);
INSERT INTO user_groups VALUES (2, 1234567890, 'not_logged_in', 'Web', 'KICKED_OUT', false, 1);
INSERT INTO user_search VALUES (1, '''00006100006c000069'' ''000063000065000000'' ''000065000000000000'' ''000069000063000065'' ''00006c000069000063''');
INSERT INTO user_search VALUES (2, '''000062000000000000'' ''00006200006f000062'' ''00006f000062000000''');
INSERT INTO user_status VALUES (1, 1234567890, 'alice', 'online', 1795442402000000, 'SUCCESS', NULL, 'Web', 1795528802000000, 1795442402000000, 3, 3, 1, 1795528802000000, false, '[[1099511627777,"O5sDaD0vWfSanqsztOUcdQ==",1,["online",1795442402000000,"SUCCESS",null,0,"CONNECTED",1795442402000000,"ZCuiz+ZcVJKoYkKbB3hNZQ==",true,false,null,1795442400000000,null,3,"SAVZX9ZcUBCQvqCk8cub6A==",false,29],1795442402000000,3,false,"Web",null,null,null,null,0,3,null,0,null,null]]', false, NULL);
INSERT INTO user_status VALUES (2, 1234567890, 'bob', 'not_logged_in', 1795442404000000, 'KICKED_OUT', NULL, 'Web', NULL, 1795442404000000, 5, 5, 2, NULL, false, '[[1099511627780,"7KsNzPCdXT6qxjLKDFtaSw==",2,["not_logged_in",1795442404000000,"KICKED_OUT",null,0,"DISCONNECTED",1795442404000000,"ih/OwWTYUDaJGbERTj8XsQ==",true,true,"ih/OwWTYUDaJGbERTj8XsQ==",1795442403000000,null,2,"SNsmcLJAXWuZHngO0Pr9vg==",false,29],1795442404000000,5,false,"Web",null,null,null,null,0,2,null,0,null,null]]', false, NULL);
SELECT pg_catalog.setval('accounts_id_seq', 1, false);
SELECT pg_catalog.setval('alert_history_id_seq', 1, false);
SELECT pg_catalog.setval('alert_messages_id_seq', 1, false);
SELECT pg_catalog.setval('alert_notifications_id_seq', 1, false);
SELECT pg_catalog.setval('alert_silences_id_seq', 1, false);
SELECT pg_catalog.setval('alerts_id_seq', 1, false);
SELECT pg_catalog.setval('api_tokens_id_seq', 1, false);
SELECT pg_catalog.setval('browser_sessions_id_seq', 1, false);
SELECT pg_catalog.setval('clients_client_key_seq', 1, false);
SELECT pg_catalog.setval('erasures_id_seq', 1, false);
SELECT pg_catalog.setval('events_position_seq', 1, false);
SELECT pg_catalog.setval('lease_stretches_stretch_seq', 1, true);
SELECT pg_catalog.setval('pruning_hold_hold_seq', 1, false);
SELECT pg_catalog.setval('rejected_events_rejection_seq', 1, false);
SELECT pg_catalog.setval('span_losses_loss_seq', 1, false);
SELECT pg_catalog.setval('span_outbox_first_position_seq', 1, false);
SELECT pg_catalog.setval('user_groups_group_key_seq', 1, false);
SELECT pg_catalog.setval('user_status_user_key_seq', 1, false);
SELECT pg_catalog.setval('user_watches_id_seq', 1, false);
ALTER TABLE ONLY account_links
    ADD CONSTRAINT account_links_account_id_key UNIQUE (account_id);
ALTER TABLE ONLY account_links
    ADD CONSTRAINT account_links_pkey PRIMARY KEY (secret_sha256);
ALTER TABLE ONLY accounts
    ADD CONSTRAINT accounts_name_key UNIQUE (name);
ALTER TABLE ONLY accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY alembic_version
    ADD CONSTRAINT alembic_version_pkey PRIMARY KEY (version_num);
ALTER TABLE ONLY alert_counts
    ADD CONSTRAINT alert_counts_pkey PRIMARY KEY (kind, app_id);
ALTER TABLE ONLY alert_cursors
    ADD CONSTRAINT alert_cursors_pkey PRIMARY KEY (name);
ALTER TABLE ONLY alert_history
    ADD CONSTRAINT alert_history_pkey PRIMARY KEY (id);
ALTER TABLE ONLY alert_members
    ADD CONSTRAINT alert_members_pkey PRIMARY KEY (alert_id, app_id, user_id);
ALTER TABLE ONLY alert_messages
    ADD CONSTRAINT alert_messages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY alert_notifications
    ADD CONSTRAINT alert_notifications_pkey PRIMARY KEY (id);
ALTER TABLE ONLY alert_silences
    ADD CONSTRAINT alert_silences_pkey PRIMARY KEY (id);
ALTER TABLE ONLY alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY api_tokens
    ADD CONSTRAINT api_tokens_secret_sha256_key UNIQUE (secret_sha256);
ALTER TABLE ONLY app_hours
    ADD CONSTRAINT app_hours_pkey PRIMARY KEY (app_id, hour);
ALTER TABLE ONLY audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY audit_marks
    ADD CONSTRAINT audit_marks_pkey PRIMARY KEY (name);
ALTER TABLE ONLY audit_subjects
    ADD CONSTRAINT audit_subjects_pkey PRIMARY KEY (pseudonym);
ALTER TABLE ONLY browser_sessions
    ADD CONSTRAINT browser_sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY browser_sessions
    ADD CONSTRAINT browser_sessions_secret_sha256_key UNIQUE (secret_sha256);
ALTER TABLE ONLY client_blocks
    ADD CONSTRAINT client_blocks_pkey PRIMARY KEY (user_key, client_id, last_seq, last_id);
ALTER TABLE ONLY clients
    ADD CONSTRAINT clients_client_id_user_key_key UNIQUE (client_id, user_key);
ALTER TABLE ONLY clients
    ADD CONSTRAINT clients_pkey PRIMARY KEY (client_key);
ALTER TABLE ONLY commits
    ADD CONSTRAINT commits_pkey PRIMARY KEY (one);
ALTER TABLE ONLY erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (id);
ALTER TABLE ONLY events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY followers
    ADD CONSTRAINT followers_pkey PRIMARY KEY (name);
ALTER TABLE ONLY happenings
    ADD CONSTRAINT happenings_pkey PRIMARY KEY (user_key, kind, minute, platform, sdk_version, app_version);
ALTER TABLE ONLY keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (name);
ALTER TABLE ONLY kicks
    ADD CONSTRAINT kicks_pkey PRIMARY KEY (app_id, user_id, "position");
ALTER TABLE ONLY lease_stretches
    ADD CONSTRAINT lease_stretches_pkey PRIMARY KEY (stretch);
ALTER TABLE ONLY offline_watch
    ADD CONSTRAINT offline_watch_pkey PRIMARY KEY (app_id, user_id);
ALTER TABLE ONLY old_reporters
    ADD CONSTRAINT old_reporters_pkey PRIMARY KEY (app_id, day, name, version);
ALTER TABLE ONLY pruning_hold
    ADD CONSTRAINT pruning_hold_pkey PRIMARY KEY (hold);
ALTER TABLE ONLY recovery_codes
    ADD CONSTRAINT recovery_codes_pkey PRIMARY KEY (account_id, code_sha256);
ALTER TABLE ONLY rejected_events
    ADD CONSTRAINT rejected_events_pkey PRIMARY KEY (rejection);
ALTER TABLE ONLY rollups
    ADD CONSTRAINT rollups_pkey PRIMARY KEY (every_app, app_id, minute);
ALTER TABLE ONLY server_views
    ADD CONSTRAINT server_views_pkey PRIMARY KEY (app_id, user_id);
ALTER TABLE ONLY signed_requests
    ADD CONSTRAINT signed_requests_pkey PRIMARY KEY (request);
ALTER TABLE ONLY span_losses
    ADD CONSTRAINT span_losses_pkey PRIMARY KEY (loss);
ALTER TABLE ONLY span_outbox
    ADD CONSTRAINT span_outbox_pkey PRIMARY KEY (first_position);
ALTER TABLE ONLY storm_members
    ADD CONSTRAINT storm_members_pkey PRIMARY KEY (kind, app_id, user_id);
ALTER TABLE ONLY storm_windows
    ADD CONSTRAINT storm_windows_pkey PRIMARY KEY (kind, app_id);
ALTER TABLE ONLY traces
    ADD CONSTRAINT traces_pkey PRIMARY KEY (trace_id);
ALTER TABLE ONLY user_groups
    ADD CONSTRAINT user_groups_app_id_status_platform_reason_unconfirmed_key UNIQUE (app_id, status, platform, reason, unconfirmed);
ALTER TABLE ONLY user_groups
    ADD CONSTRAINT user_groups_pkey PRIMARY KEY (group_key);
ALTER TABLE ONLY user_search
    ADD CONSTRAINT user_search_pkey PRIMARY KEY (user_key);
ALTER TABLE ONLY user_status
    ADD CONSTRAINT user_status_app_id_user_id_key UNIQUE (app_id, user_id);
ALTER TABLE ONLY user_status
    ADD CONSTRAINT user_status_pkey PRIMARY KEY (user_key);
ALTER TABLE ONLY user_watches
    ADD CONSTRAINT user_watches_app_id_user_id_author_key UNIQUE (app_id, user_id, author);
ALTER TABLE ONLY user_watches
    ADD CONSTRAINT user_watches_pkey PRIMARY KEY (id);
CREATE INDEX alert_history_by_alert ON alert_history USING btree (alert_id);
CREATE INDEX alert_members_by_user ON alert_members USING btree (app_id, user_id);
CREATE INDEX alert_messages_by_acceptance ON alert_messages USING btree (sent_at_us) WHERE (sent_at_us IS NOT NULL);
CREATE INDEX alert_messages_dead ON alert_messages USING btree (id) WHERE (state = 'dead'::text);
CREATE INDEX alert_messages_pending ON alert_messages USING btree (receiver, id) WHERE (state = 'pending'::text);
CREATE INDEX alert_notifications_by_alert ON alert_notifications USING btree (alert_id);
CREATE INDEX alert_notifications_by_message ON alert_notifications USING btree (message_id) WHERE (message_id IS NOT NULL);
CREATE INDEX alert_notifications_waiting ON alert_notifications USING btree (receiver, id) WHERE (state = 'waiting'::text);
CREATE INDEX alert_silences_to_end ON alert_silences USING btree (ends_at_us) WHERE (NOT is_over);
CREATE INDEX alerts_acknowledged ON alerts USING btree (id) WHERE ((state = 'firing'::text) AND (acknowledged_at_us IS NOT NULL));
CREATE INDEX alerts_by_kind ON alerts USING btree (kind, id);
CREATE INDEX alerts_by_user ON alerts USING btree (user_id, id) WHERE (user_id IS NOT NULL);
CREATE INDEX alerts_due ON alerts USING btree (due_us) WHERE ((state = 'firing'::text) AND (due_us IS NOT NULL));
CREATE UNIQUE INDEX alerts_firing ON alerts USING btree (fingerprint) WHERE (state = 'firing'::text);
CREATE INDEX alerts_firing_by_id ON alerts USING btree (id) WHERE (state = 'firing'::text);
CREATE INDEX alerts_firing_by_kind ON alerts USING btree (kind, id) WHERE (state = 'firing'::text);
CREATE INDEX alerts_firing_by_user ON alerts USING btree (app_id, user_id) WHERE (state = 'firing'::text);
CREATE INDEX alerts_opened ON alerts USING btree (fingerprint, opened_at_us);
CREATE INDEX alerts_to_repeat ON alerts USING btree (repeat_us) WHERE ((state = 'firing'::text) AND (repeat_us IS NOT NULL));
CREATE INDEX audit_log_by_subject ON audit_log USING btree (subject, id) WHERE (subject IS NOT NULL);
CREATE INDEX audit_log_by_time ON audit_log USING btree (at_us);
CREATE INDEX audit_subjects_by_user ON audit_subjects USING btree (app_id, user_id);
CREATE INDEX browser_sessions_by_owner ON browser_sessions USING btree (owner, seen_at_us);
CREATE INDEX client_blocks_by_position ON client_blocks USING btree (newest_position);
CREATE INDEX clients_by_change ON clients USING btree (user_key, status, since_us, last_id);
CREATE INDEX clients_by_end ON clients USING btree (user_key, left_online_us) WHERE (left_online_us IS NOT NULL);
CREATE INDEX clients_by_lease ON clients USING btree (user_key, sends_heartbeats, ((last_seen_at_us + (3000000 * heartbeat_after_s)))) WHERE (status <> 'not_logged_in'::text);
CREATE INDEX clients_by_sign_of_life ON clients USING btree (user_key, last_seen_at_us);
CREATE INDEX erasures_by_position ON erasures USING btree (through_position);
CREATE INDEX erasures_by_pseudonym ON erasures USING btree (pseudonym, through_position);
CREATE INDEX erasures_pending ON erasures USING btree (id) WHERE (finished_at_us IS NULL);
CREATE UNIQUE INDEX events_by_id ON events USING btree (id, app_id);
CREATE INDEX happenings_by_moment ON happenings USING btree (app_id, kind, last_us, user_key, first_us, times);
CREATE INDEX kicks_by_time ON kicks USING btree (at_us);
CREATE INDEX offline_watch_waiting ON offline_watch USING btree (since_us) WHERE (state = 'waiting'::text);
CREATE INDEX rejected_events_by_time ON rejected_events USING btree (received_at_us, app_id, error);
CREATE INDEX server_views_by_difference ON server_views USING btree (differs_since_us) WHERE (differs_since_us IS NOT NULL);
CREATE INDEX signed_requests_by_end ON signed_requests USING btree (until_us);
CREATE INDEX storm_members_by_time ON storm_members USING btree (kind, app_id, at_us);
CREATE INDEX storm_members_held ON storm_members USING btree (kind, app_id, at_us) WHERE held;
CREATE INDEX user_search_by_run ON user_search USING gin (runs);
CREATE INDEX user_status_by_check ON user_status USING btree (lease_lapsed, lease_check_us) WHERE (lease_check_us IS NOT NULL);
CREATE INDEX user_status_by_group ON user_status USING btree (group_key, changed_position, user_id);
CREATE INDEX user_status_by_token ON user_status USING btree (token_expires_at_us);
