PRAGMA application_id = 1514753367;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE api_tokens (
        id INTEGER NOT NULL,
        secret_sha256 BLOB NOT NULL,
        hint TEXT NOT NULL,
        scope TEXT NOT NULL,
        app_id BIGINT,
        created_at_us BIGINT NOT NULL,
        expires_at_us BIGINT,
        revoked_at_us BIGINT,
        PRIMARY KEY (id),
        UNIQUE (secret_sha256)
    );
CREATE TABLE clients (
        client_key INTEGER NOT NULL,
        client_id BLOB NOT NULL,
        user_key INTEGER NOT NULL,
        status TEXT NOT NULL,
        since_us BIGINT,
        reason TEXT,
        left_online_us BIGINT,
        outages INTEGER NOT NULL,
        connection_state TEXT,
        connection_state_since_us BIGINT,
        session_id BLOB,
        reports_login BOOLEAN NOT NULL,
        ended BOOLEAN NOT NULL,
        ended_session_id BLOB,
        login_at_us BIGINT,
        token_expires_at_us BIGINT,
        last_seq BIGINT NOT NULL,
        last_id BLOB NOT NULL,
        platform TEXT,
        sdk_name TEXT,
        sdk_version TEXT,
        app_version TEXT,
        device_id TEXT,
        last_position INTEGER,
        last_seen_at_us BIGINT NOT NULL,
        sends_heartbeats BOOLEAN NOT NULL,
        PRIMARY KEY (client_key),
        UNIQUE (client_id, user_key)
    );
CREATE INDEX clients_by_user ON clients (user_key)
    ;
CREATE TABLE events (
        position INTEGER NOT NULL,
        id BLOB NOT NULL,
        type TEXT NOT NULL,
        occurred_at_us BIGINT NOT NULL,
        received_at_us BIGINT NOT NULL,
        client_id BLOB NOT NULL,
        seq BIGINT NOT NULL,
        app_id BIGINT NOT NULL,
        session_id BLOB,
        user_id TEXT,
        platform TEXT,
        sdk_name TEXT,
        sdk_version TEXT,
        app_version TEXT,
        device_id TEXT,
        connection_state TEXT,
        connection_event TEXT,
        extended_data TEXT,
        details TEXT,
        previous_user_position INTEGER,
        previous_client_position INTEGER, user_status TEXT, previous_state TEXT, previous_state_duration_us BIGINT, starts_trace BOOLEAN,
        PRIMARY KEY (position),
        UNIQUE (id)
    );
CREATE TABLE rejected_events (
        rejection INTEGER NOT NULL,
        received_at_us BIGINT NOT NULL,
        batch_index INTEGER NOT NULL,
        event_id TEXT,
        error TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (rejection)
    );
CREATE TABLE user_status (
        user_key INTEGER NOT NULL,
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        status TEXT NOT NULL,
        since_us BIGINT,
        reason TEXT,
        token_expires_at_us BIGINT,
        platform TEXT,
        lease_until_us BIGINT,
        last_seen_at_us BIGINT NOT NULL,
        last_position INTEGER,
        changed_position INTEGER NOT NULL, group_key INTEGER NOT NULL DEFAULT 0, lease_check_us BIGINT, clients BLOB, left_elsewhere_us BIGINT,
        PRIMARY KEY (user_key),
        UNIQUE (app_id, user_id)
    );
CREATE TABLE alerts (
        id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        severity TEXT NOT NULL,
        app_id BIGINT,
        user_id TEXT,
        other TEXT NOT NULL,
        state TEXT NOT NULL,
        started_at_us BIGINT NOT NULL,
        opened_at_us BIGINT NOT NULL,
        ended_at_us BIGINT,
        end_reason TEXT,
        count INTEGER NOT NULL,
        position INTEGER,
        due_us BIGINT,
        summary TEXT NOT NULL,
        labels TEXT NOT NULL,
        facts TEXT NOT NULL,
        held TEXT,
        owed BOOLEAN NOT NULL,
        told BOOLEAN NOT NULL,
        repeat_us BIGINT,
        acknowledged_by TEXT,
        acknowledged_at_us BIGINT,
        changed_at_us BIGINT NOT NULL,
        PRIMARY KEY (id)
    );
CREATE UNIQUE INDEX alerts_firing ON alerts (fingerprint) WHERE state = 'firing'
    ;
CREATE INDEX alerts_firing_by_kind ON alerts (kind, app_id) WHERE state = 'firing'
    ;
CREATE TABLE alert_history (
        id INTEGER NOT NULL,
        alert_id INTEGER NOT NULL,
        at_us BIGINT NOT NULL,
        what TEXT NOT NULL,
        who TEXT,
        position INTEGER,
        text TEXT NOT NULL,
        PRIMARY KEY (id)
    );
CREATE INDEX alert_history_by_alert ON alert_history (alert_id)
    ;
CREATE TABLE alert_notifications (
        id INTEGER NOT NULL,
        alert_id INTEGER NOT NULL,
        receiver TEXT NOT NULL,
        what TEXT NOT NULL,
        grouped TEXT NOT NULL,
        due_at_us BIGINT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        message_id INTEGER,
        PRIMARY KEY (id)
    );
CREATE INDEX alert_notifications_by_alert ON alert_notifications (alert_id)
    ;
CREATE INDEX alert_notifications_by_message ON alert_notifications (message_id) WHERE message_id IS NOT NULL
    ;
CREATE INDEX alert_notifications_waiting ON alert_notifications (receiver, id) WHERE state = 'waiting'
    ;
CREATE TABLE alert_messages (
        id INTEGER NOT NULL,
        public_id TEXT NOT NULL,
        receiver TEXT NOT NULL,
        what TEXT NOT NULL,
        alert_id INTEGER,
        answers INTEGER,
        alerts INTEGER NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        created_at_us BIGINT NOT NULL,
        due_at_us BIGINT NOT NULL,
        tried_at_us BIGINT,
        sent_at_us BIGINT,
        error TEXT,
        proof TEXT,
        PRIMARY KEY (id)
    );
CREATE INDEX alert_messages_dead ON alert_messages (id) WHERE state = 'dead'
    ;
CREATE INDEX alert_messages_pending ON alert_messages (receiver, id) WHERE state = 'pending'
    ;
CREATE TABLE alert_silences (
        id INTEGER NOT NULL,
        matchers TEXT NOT NULL,
        starts_at_us BIGINT NOT NULL,
        ends_at_us BIGINT NOT NULL,
        author TEXT NOT NULL,
        reason TEXT NOT NULL,
        created_at_us BIGINT NOT NULL,
        app_id BIGINT,
        PRIMARY KEY (id)
    );
CREATE TABLE lease_stretches (
        stretch INTEGER NOT NULL,
        begins_us BIGINT NOT NULL,
        skipped_us BIGINT NOT NULL,
        alive_us BIGINT NOT NULL,
        PRIMARY KEY (stretch)
    );
CREATE TABLE server_views (
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        words TEXT NOT NULL,
        differs_since_us BIGINT,
        PRIMARY KEY (app_id, user_id)
    );
CREATE INDEX server_views_by_difference ON server_views (differs_since_us) WHERE differs_since_us IS NOT NULL
    ;
CREATE TABLE rollups (
            app_id BIGINT NOT NULL,
            minute INTEGER NOT NULL,
            online INTEGER NOT NULL,
            offline INTEGER NOT NULL,
            not_logged_in INTEGER NOT NULL,
            kicked_out INTEGER NOT NULL,
            token_expired INTEGER NOT NULL,
            logins INTEGER NOT NULL,
            PRIMARY KEY (app_id, minute)
        ) WITHOUT ROWID
        ;
CREATE TABLE keys (name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name));
CREATE INDEX alerts_by_user ON alerts (user_id, id) WHERE user_id IS NOT NULL;
CREATE TABLE span_outbox (
        first_position INTEGER NOT NULL,
        last_position INTEGER,
        spans INTEGER NOT NULL,
        PRIMARY KEY (first_position)
    );
CREATE TABLE span_losses (
        loss INTEGER NOT NULL,
        lost_at_us BIGINT NOT NULL,
        kind TEXT NOT NULL,
        spans INTEGER NOT NULL,
        position INTEGER,
        event_id BLOB,
        problem TEXT NOT NULL,
        PRIMARY KEY (loss)
    );
CREATE TABLE traces (
        trace_id BLOB NOT NULL,
        root_position INTEGER NOT NULL,
        PRIMARY KEY (trace_id)
    ) WITHOUT ROWID
    ;
CREATE TABLE user_groups (
        group_key INTEGER NOT NULL,
        app_id BIGINT NOT NULL,
        status TEXT NOT NULL,
        platform TEXT NOT NULL,
        reason TEXT NOT NULL,
        unconfirmed BOOLEAN NOT NULL,
        users INTEGER NOT NULL,
        PRIMARY KEY (group_key),
        UNIQUE (app_id, status, platform, reason, unconfirmed)
    );
CREATE VIRTUAL TABLE user_search USING fts5(runs, content='', detail=none, tokenize='ascii');
CREATE INDEX user_status_by_check ON user_status (lease_check_us) WHERE lease_check_us IS NOT NULL;
CREATE INDEX user_status_by_group ON user_status (group_key, changed_position);
INSERT INTO "alembic_version" (version_num) VALUES ('0006_groups_and_runs');
INSERT INTO "clients" (client_key, client_id, user_key, status, since_us, reason, left_online_us, outages, connection_state, connection_state_since_us, session_id, reports_login, ended, ended_session_id, login_at_us, token_expires_at_us, last_seq, last_id, platform, sdk_name, sdk_version, app_version, device_id, last_position, last_seen_at_us, sends_heartbeats) VALUES (1, X'F7D8BE132A725104BD027A5964737A91', 1, 'online', 1795442402000000, 'SUCCESS', NULL, 0, 'CONNECTED', 1795442402000000, X'78E492AB3F7F5D8E83955BF144E5CA9F', 1, 0, NULL, 1795442401000000, 1795528800000000, 2, X'13D924A7117F5E43B3EECDEAE272A400', 'Web', NULL, NULL, NULL, NULL, 2, 1795442402001000, 0);
INSERT INTO "clients" (client_key, client_id, user_key, status, since_us, reason, left_online_us, outages, connection_state, connection_state_since_us, session_id, reports_login, ended, ended_session_id, login_at_us, token_expires_at_us, last_seq, last_id, platform, sdk_name, sdk_version, app_version, device_id, last_position, last_seen_at_us, sends_heartbeats) VALUES (2, X'515E93C6378259DB96BEAD5B8CF872A5', 2, 'offline', 1795442405000000, 'LOGIN_INTERRUPTED', NULL, 1, 'RECONNECTING', 1795442405000000, X'3F6075A051B85C14AFE0FCDF62CA50DA', 0, 0, NULL, NULL, NULL, 2, X'498E0F3BE4135263AD20D3A6D23FED09', 'Web', NULL, NULL, NULL, NULL, 5, 1795442405001000, 0);
INSERT INTO "clients" (client_key, client_id, user_key, status, since_us, reason, left_online_us, outages, connection_state, connection_state_since_us, session_id, reports_login, ended, ended_session_id, login_at_us, token_expires_at_us, last_seq, last_id, platform, sdk_name, sdk_version, app_version, device_id, last_position, last_seen_at_us, sends_heartbeats) VALUES (3, X'80370EBBD9B55F12A3FBDB3631157840', 3, 'not_logged_in', 1795442406000000, 'KICKED_OUT', NULL, 0, 'DISCONNECTED', 1795442406000000, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 0, 1, NULL, NULL, NULL, 2, X'F933C47F922259BFAAF4414680F14DC8', 'Web', NULL, NULL, NULL, NULL, 6, 1795442406001000, 0);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace) VALUES (1, X'92E8E549D6DE5AA99DFBCABAF074427D', 'login', 0, 1795442401001000, X'F7D8BE132A725104BD027A5964737A91', 1, 1234567890, X'78E492AB3F7F5D8E83955BF144E5CA9F', 'alice', 'Web', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"offline_login":false,"token_expires_at_us":1795528800000000}', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace) VALUES (2, X'13D924A7117F5E43B3EECDEAE272A400', 'connection_state_changed', 1795442402000000, 1795442402001000, X'F7D8BE132A725104BD027A5964737A91', 2, 1234567890, X'78E492AB3F7F5D8E83955BF144E5CA9F', 'alice', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '{}', NULL, 1, 1, NULL, NULL, NULL, 1);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace) VALUES (3, X'37D6D201B61F550C930068111AB59D98', 'connection_state_changed', 1795442403000000, 1795442403001000, X'515E93C6378259DB96BEAD5B8CF872A5', 1, 1234567890, X'3F6075A051B85C14AFE0FCDF62CA50DA', 'bob', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '{}', NULL, NULL, NULL, NULL, NULL, NULL, 1);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace) VALUES (4, X'A293C12D8EC05389B2D2D86AE58FD269', 'connection_state_changed', 1795442404000000, 1795442404001000, X'80370EBBD9B55F12A3FBDB3631157840', 1, 1234567890, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 'carol', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '{}', NULL, NULL, NULL, NULL, NULL, NULL, 1);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace) VALUES (5, X'498E0F3BE4135263AD20D3A6D23FED09', 'connection_state_changed', 1795442405000000, 1795442405001000, X'515E93C6378259DB96BEAD5B8CF872A5', 2, 1234567890, X'3F6075A051B85C14AFE0FCDF62CA50DA', 'bob', 'Web', NULL, NULL, NULL, NULL, 'RECONNECTING', 'LOGIN_INTERRUPTED', '{}', NULL, 3, 3, 'offline', 'CONNECTED', 2000000, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace) VALUES (6, X'F933C47F922259BFAAF4414680F14DC8', 'connection_state_changed', 4957682406000000, 1795442406001000, X'80370EBBD9B55F12A3FBDB3631157840', 2, 1234567890, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 'carol', 'Web', NULL, NULL, NULL, NULL, 'DISCONNECTED', 'KICKED_OUT', '{}', NULL, 4, 4, 'not_logged_in', 'CONNECTED', 2000000, NULL);
INSERT INTO "user_status" (user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us, last_seen_at_us, last_position, changed_position, group_key, lease_check_us, clients, left_elsewhere_us) VALUES (1, 1234567890, 'alice', 'online', 1795442402000000, 'SUCCESS', 1795528800000000, 'Web', 1795528802001000, 1795442402001000, 2, 2, 0, NULL, NULL, NULL);
INSERT INTO "user_status" (user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us, last_seen_at_us, last_position, changed_position, group_key, lease_check_us, clients, left_elsewhere_us) VALUES (2, 1234567890, 'bob', 'offline', 1795442405000000, 'LOGIN_INTERRUPTED', NULL, 'Web', 1795528805001000, 1795442405001000, 5, 5, 0, NULL, NULL, NULL);
INSERT INTO "user_status" (user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us, last_seen_at_us, last_position, changed_position, group_key, lease_check_us, clients, left_elsewhere_us) VALUES (3, 1234567890, 'carol', 'not_logged_in', 1795442406000000, 'KICKED_OUT', NULL, 'Web', NULL, 1795442406001000, 6, 6, 0, NULL, NULL, NULL);
INSERT INTO "keys" (name, value) VALUES ('hand_off', X'EA6143C0FC2F17B4571FDD742757175D8BDE72CBAC369F0EC70767C346091FD3');
INSERT INTO "span_outbox" (first_position, last_position, spans) VALUES (5, 5, 1);
INSERT INTO "span_outbox" (first_position, last_position, spans) VALUES (6, 6, 1);
DELETE FROM "user_search_data";
INSERT INTO "user_search_data" (id, block) VALUES (1, X'');
INSERT INTO "user_search_data" (id, block) VALUES (10, X'00000000000000');
DELETE FROM "user_search_idx";
DELETE FROM "user_search_docsize";
DELETE FROM "user_search_config";
INSERT INTO "user_search_config" (k, v) VALUES ('version', 4);
