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
        previous_session_position INTEGER,
        previous_client_position INTEGER,
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
CREATE TABLE span_outbox (
        position INTEGER NOT NULL,
        trace_id BLOB NOT NULL,
        is_root BOOLEAN NOT NULL,
        previous_state TEXT,
        previous_state_duration_us BIGINT,
        user_status TEXT,
        attempts INTEGER NOT NULL,
        due_at_us BIGINT NOT NULL,
        PRIMARY KEY (position)
    );
CREATE TABLE traces (
        trace_key INTEGER NOT NULL,
        trace_id BLOB NOT NULL,
        last_position INTEGER NOT NULL,
        root_position INTEGER,
        PRIMARY KEY (trace_key),
        UNIQUE (trace_id)
    );
CREATE TABLE user_counts (
        app_id BIGINT NOT NULL,
        status TEXT NOT NULL,
        users INTEGER NOT NULL,
        PRIMARY KEY (app_id, status)
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
        changed_position INTEGER NOT NULL,
        PRIMARY KEY (user_key),
        UNIQUE (app_id, user_id)
    );
CREATE INDEX user_status_by_change ON user_status (changed_position)
    ;
CREATE INDEX user_status_by_lease ON user_status (lease_until_us) WHERE lease_until_us IS NOT NULL
    ;
CREATE INDEX user_status_by_status ON user_status (status, changed_position)
    ;
INSERT INTO "alembic_version" (version_num) VALUES ('0001');
INSERT INTO "clients" (client_key, client_id, user_key, status, since_us, reason, left_online_us, outages, connection_state, connection_state_since_us, session_id, reports_login, ended, ended_session_id, login_at_us, token_expires_at_us, last_seq, last_id, platform, sdk_name, sdk_version, app_version, device_id, last_position, last_seen_at_us, sends_heartbeats) VALUES (1, X'F7D8BE132A725104BD027A5964737A91', 1, 'online', 1795442402000000, 'SUCCESS', NULL, 0, 'CONNECTED', 1795442402000000, X'78E492AB3F7F5D8E83955BF144E5CA9F', 1, 0, NULL, 1795442401000000, 1795528800000000, 2, X'13D924A7117F5E43B3EECDEAE272A400', 'Web', NULL, NULL, NULL, NULL, 2, 1795442402001000, 0);
INSERT INTO "clients" (client_key, client_id, user_key, status, since_us, reason, left_online_us, outages, connection_state, connection_state_since_us, session_id, reports_login, ended, ended_session_id, login_at_us, token_expires_at_us, last_seq, last_id, platform, sdk_name, sdk_version, app_version, device_id, last_position, last_seen_at_us, sends_heartbeats) VALUES (2, X'515E93C6378259DB96BEAD5B8CF872A5', 2, 'offline', 1795442405000000, 'LOGIN_INTERRUPTED', NULL, 1, 'RECONNECTING', 1795442405000000, X'3F6075A051B85C14AFE0FCDF62CA50DA', 0, 0, NULL, NULL, NULL, 2, X'498E0F3BE4135263AD20D3A6D23FED09', 'Web', NULL, NULL, NULL, NULL, 5, 1795442405001000, 0);
INSERT INTO "clients" (client_key, client_id, user_key, status, since_us, reason, left_online_us, outages, connection_state, connection_state_since_us, session_id, reports_login, ended, ended_session_id, login_at_us, token_expires_at_us, last_seq, last_id, platform, sdk_name, sdk_version, app_version, device_id, last_position, last_seen_at_us, sends_heartbeats) VALUES (3, X'80370EBBD9B55F12A3FBDB3631157840', 3, 'not_logged_in', 1795442406000000, 'KICKED_OUT', NULL, 0, 'DISCONNECTED', 1795442406000000, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 0, 1, NULL, NULL, NULL, 2, X'F933C47F922259BFAAF4414680F14DC8', 'Web', NULL, NULL, NULL, NULL, 6, 1795442406001000, 0);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_session_position, previous_client_position) VALUES (1, X'92E8E549D6DE5AA99DFBCABAF074427D', 'login', 0, 1795442401001000, X'F7D8BE132A725104BD027A5964737A91', 1, 1234567890, X'78E492AB3F7F5D8E83955BF144E5CA9F', 'alice', 'Web', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"offline_login":false,"token_expires_at_us":1795528800000000}', NULL, NULL, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_session_position, previous_client_position) VALUES (2, X'13D924A7117F5E43B3EECDEAE272A400', 'connection_state_changed', 1795442402000000, 1795442402001000, X'F7D8BE132A725104BD027A5964737A91', 2, 1234567890, X'78E492AB3F7F5D8E83955BF144E5CA9F', 'alice', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '{}', NULL, 1, 1, 1);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_session_position, previous_client_position) VALUES (3, X'37D6D201B61F550C930068111AB59D98', 'connection_state_changed', 1795442403000000, 1795442403001000, X'515E93C6378259DB96BEAD5B8CF872A5', 1, 1234567890, X'3F6075A051B85C14AFE0FCDF62CA50DA', 'bob', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '{}', NULL, NULL, NULL, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_session_position, previous_client_position) VALUES (4, X'A293C12D8EC05389B2D2D86AE58FD269', 'connection_state_changed', 1795442404000000, 1795442404001000, X'80370EBBD9B55F12A3FBDB3631157840', 1, 1234567890, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 'carol', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '{}', NULL, NULL, NULL, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_session_position, previous_client_position) VALUES (5, X'498E0F3BE4135263AD20D3A6D23FED09', 'connection_state_changed', 1795442405000000, 1795442405001000, X'515E93C6378259DB96BEAD5B8CF872A5', 2, 1234567890, X'3F6075A051B85C14AFE0FCDF62CA50DA', 'bob', 'Web', NULL, NULL, NULL, NULL, 'RECONNECTING', 'LOGIN_INTERRUPTED', '{}', NULL, 3, 3, 3);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_session_position, previous_client_position) VALUES (6, X'F933C47F922259BFAAF4414680F14DC8', 'connection_state_changed', 4957682406000000, 1795442406001000, X'80370EBBD9B55F12A3FBDB3631157840', 2, 1234567890, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 'carol', 'Web', NULL, NULL, NULL, NULL, 'DISCONNECTED', 'KICKED_OUT', '{}', NULL, 4, 4, 4);
INSERT INTO "span_outbox" (position, trace_id, is_root, previous_state, previous_state_duration_us, user_status, attempts, due_at_us) VALUES (5, X'3F6075A051B85C14AFE0FCDF62CA50DA', 0, 'CONNECTED', 2000000, 'offline', 0, 0);
INSERT INTO "span_outbox" (position, trace_id, is_root, previous_state, previous_state_duration_us, user_status, attempts, due_at_us) VALUES (6, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 0, 'CONNECTED', 2000000, 'not_logged_in', 0, 0);
INSERT INTO "traces" (trace_key, trace_id, last_position, root_position) VALUES (1, X'78E492AB3F7F5D8E83955BF144E5CA9F', 2, 2);
INSERT INTO "traces" (trace_key, trace_id, last_position, root_position) VALUES (2, X'3F6075A051B85C14AFE0FCDF62CA50DA', 5, 3);
INSERT INTO "traces" (trace_key, trace_id, last_position, root_position) VALUES (3, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 6, 4);
INSERT INTO "user_counts" (app_id, status, users) VALUES (1234567890, 'online', 1);
INSERT INTO "user_counts" (app_id, status, users) VALUES (1234567890, 'offline', 1);
INSERT INTO "user_counts" (app_id, status, users) VALUES (1234567890, 'not_logged_in', 1);
INSERT INTO "user_status" (user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us, last_seen_at_us, last_position, changed_position) VALUES (1, 1234567890, 'alice', 'online', 1795442402000000, 'SUCCESS', 1795528800000000, 'Web', 1795528802001000, 1795442402001000, 2, 2);
INSERT INTO "user_status" (user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us, last_seen_at_us, last_position, changed_position) VALUES (2, 1234567890, 'bob', 'offline', 1795442405000000, 'LOGIN_INTERRUPTED', NULL, 'Web', 1795528805001000, 1795442405001000, 5, 5);
INSERT INTO "user_status" (user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us, last_seen_at_us, last_position, changed_position) VALUES (3, 1234567890, 'carol', 'not_logged_in', 1795442406000000, 'KICKED_OUT', NULL, 'Web', NULL, 1795442406001000, 6, 6);
