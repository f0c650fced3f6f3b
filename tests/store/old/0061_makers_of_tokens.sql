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
        created_at_us BIGINT NOT NULL,
        expires_at_us BIGINT,
        revoked_at_us BIGINT, name TEXT NOT NULL DEFAULT '', apps TEXT, origins TEXT NOT NULL DEFAULT '[]', made_by TEXT NOT NULL DEFAULT '', made_by_token BIGINT, last_used_at_us BIGINT, replaced_by BIGINT, made_by_account BIGINT, ends_with BIGINT,
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
        sends_heartbeats BOOLEAN NOT NULL, logged_out BOOLEAN NOT NULL DEFAULT 0, clock_off_us BIGINT NOT NULL DEFAULT 0, touched INTEGER NOT NULL DEFAULT 0, tail_events INTEGER NOT NULL DEFAULT 0, closed_position INTEGER, heartbeat_after_s INTEGER NOT NULL DEFAULT 0, reporter_name TEXT, reporter_version TEXT,
        PRIMARY KEY (client_key),
        UNIQUE (client_id, user_key)
    );
CREATE TABLE rejected_events (
        rejection INTEGER NOT NULL,
        received_at_us BIGINT NOT NULL,
        batch_index INTEGER NOT NULL,
        event_id TEXT,
        error TEXT NOT NULL,
        body TEXT NOT NULL, app_id BIGINT,
        PRIMARY KEY (rejection)
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
        suppressed_by TEXT,
        routed BOOLEAN NOT NULL,
        notified BOOLEAN NOT NULL,
        repeat_us BIGINT,
        acknowledged_by TEXT,
        acknowledged_at_us BIGINT,
        changed_at_us BIGINT NOT NULL,
        PRIMARY KEY (id)
    );
CREATE UNIQUE INDEX alerts_firing ON alerts (fingerprint) WHERE state = 'firing'
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
        app_id BIGINT, is_over BOOLEAN NOT NULL DEFAULT FALSE,
        PRIMARY KEY (id)
    );
CREATE TABLE lease_stretches (
        stretch INTEGER NOT NULL,
        begins_us BIGINT NOT NULL,
        skipped_us BIGINT NOT NULL,
        alive_us BIGINT NOT NULL, heartbeat_after_s INTEGER NOT NULL DEFAULT 0, heartbeat_clients INTEGER NOT NULL DEFAULT 0, holds_heartbeats BOOLEAN NOT NULL DEFAULT 0,
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
CREATE TABLE keys (name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name));
CREATE INDEX alerts_by_user ON alerts (user_id, id) WHERE user_id IS NOT NULL;
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
CREATE TABLE "events" (position INTEGER NOT NULL, id BLOB NOT NULL, type TEXT NOT NULL, occurred_at_us BIGINT NOT NULL, received_at_us BIGINT NOT NULL, client_id BLOB NOT NULL, seq BIGINT NOT NULL, app_id BIGINT NOT NULL, session_id BLOB, user_id TEXT, platform TEXT, sdk_name TEXT, sdk_version TEXT, app_version TEXT, device_id TEXT, connection_state TEXT, connection_event TEXT, extended_data TEXT, details TEXT, previous_user_position INTEGER, previous_client_position INTEGER, user_status TEXT, previous_state TEXT, previous_state_duration_us BIGINT, starts_trace BOOLEAN, reporter_name TEXT, reporter_version TEXT, moment_us BIGINT NOT NULL DEFAULT 0, proven BOOLEAN, PRIMARY KEY (position));
CREATE UNIQUE INDEX events_by_id ON events (id, app_id);
CREATE INDEX rejected_events_by_time ON rejected_events (received_at_us, app_id, error);
CREATE TABLE signed_requests (request BLOB NOT NULL, contents BLOB NOT NULL, until_us BIGINT NOT NULL, PRIMARY KEY (request)) WITHOUT ROWID;
CREATE INDEX signed_requests_by_end ON signed_requests (until_us);
CREATE INDEX clients_by_change ON clients (user_key, status, since_us, last_id);
CREATE INDEX clients_by_sign_of_life ON clients (user_key, last_seen_at_us);
CREATE INDEX clients_by_end ON clients (user_key, left_online_us) WHERE left_online_us IS NOT NULL;
CREATE TABLE client_blocks (
        user_key INTEGER NOT NULL,
        client_id BLOB NOT NULL,
        last_seq BIGINT NOT NULL,
        last_id BLOB NOT NULL,
        newest_position INTEGER NOT NULL,
        touched INTEGER NOT NULL,
        positions BLOB NOT NULL,
        state BLOB NOT NULL,
        PRIMARY KEY (user_key, client_id, last_seq, last_id)
    ) WITHOUT ROWID
    ;
CREATE INDEX client_blocks_by_position ON client_blocks (newest_position);
CREATE TABLE pruning_hold (hold INTEGER NOT NULL, by_us BIGINT NOT NULL, begun_us BIGINT NOT NULL, PRIMARY KEY (hold));
CREATE TABLE span_outbox (
        first_position INTEGER NOT NULL,
        last_position INTEGER NOT NULL,
        is_open BOOLEAN NOT NULL,
        spans INTEGER NOT NULL,
        PRIMARY KEY (first_position)
    );
CREATE TABLE rollups (
        every_app BOOLEAN NOT NULL,
        app_id BIGINT NOT NULL,
        minute INTEGER NOT NULL,
        online INTEGER NOT NULL,
        offline INTEGER NOT NULL,
        not_logged_in INTEGER NOT NULL,
        kicked_out INTEGER NOT NULL,
        token_expired INTEGER NOT NULL,
        logins INTEGER NOT NULL,
        PRIMARY KEY (every_app, app_id, minute)
    ) WITHOUT ROWID
    ;
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
        group_key INTEGER NOT NULL,
        lease_check_us BIGINT,
        lease_lapsed BOOLEAN NOT NULL,
        clients TEXT NOT NULL,
        crowded BOOLEAN NOT NULL,
        left_elsewhere_us BIGINT,
        PRIMARY KEY (user_key),
        UNIQUE (app_id, user_id)
    );
CREATE INDEX user_status_by_group ON user_status (group_key, changed_position, user_id);
CREATE INDEX user_status_by_token ON user_status (token_expires_at_us);
CREATE INDEX user_status_by_check ON user_status (lease_lapsed, lease_check_us) WHERE lease_check_us IS NOT NULL
    ;
CREATE INDEX alerts_firing_by_user ON alerts (app_id, user_id) WHERE state = 'firing';
CREATE INDEX alerts_due ON alerts (due_us) WHERE state = 'firing' AND due_us IS NOT NULL;
CREATE INDEX alerts_to_repeat ON alerts (repeat_us) WHERE state = 'firing' AND repeat_us IS NOT NULL;
CREATE INDEX alerts_opened ON alerts (fingerprint, opened_at_us);
CREATE INDEX alert_silences_to_end ON alert_silences (ends_at_us) WHERE NOT is_over;
CREATE TABLE offline_watch (
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        since_us BIGINT NOT NULL,
        late BOOLEAN NOT NULL,
        state TEXT NOT NULL,
        PRIMARY KEY (app_id, user_id)
    ) WITHOUT ROWID
    ;
CREATE INDEX offline_watch_waiting ON offline_watch (since_us) WHERE state = 'waiting';
CREATE TABLE kicks (
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        device TEXT NOT NULL,
        at_us BIGINT NOT NULL,
        PRIMARY KEY (app_id, user_id, position)
    ) WITHOUT ROWID
    ;
CREATE INDEX kicks_by_time ON kicks (at_us);
CREATE TABLE storm_members (
        kind TEXT NOT NULL,
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        at_us BIGINT NOT NULL,
        platform TEXT,
        sdk_version TEXT,
        app_version TEXT, held BOOLEAN NOT NULL DEFAULT FALSE, code BIGINT,
        PRIMARY KEY (kind, app_id, user_id)
    ) WITHOUT ROWID
    ;
CREATE INDEX storm_members_by_time ON storm_members (kind, app_id, at_us);
CREATE TABLE storm_windows (
        kind TEXT NOT NULL,
        app_id BIGINT NOT NULL,
        users_at_most INTEGER NOT NULL,
        oldest_us BIGINT NOT NULL,
        PRIMARY KEY (kind, app_id)
    ) WITHOUT ROWID
    ;
CREATE TABLE alert_cursors (name TEXT NOT NULL, at_us BIGINT NOT NULL, PRIMARY KEY (name));
CREATE TABLE followers (name TEXT NOT NULL, position BIGINT NOT NULL, PRIMARY KEY (name)) WITHOUT ROWID;
CREATE INDEX clients_by_lease
    ON clients (user_key, sends_heartbeats, (last_seen_at_us + 3000000 * heartbeat_after_s))
    WHERE status <> 'not_logged_in'
    ;
CREATE INDEX storm_members_held ON storm_members (kind, app_id, at_us) WHERE held;
CREATE TABLE alert_members (
        alert_id INTEGER NOT NULL, app_id BIGINT NOT NULL, user_id TEXT NOT NULL, at_us BIGINT NOT NULL,
        PRIMARY KEY (alert_id, app_id, user_id)
    ) WITHOUT ROWID
    ;
CREATE INDEX alert_members_by_user ON alert_members (app_id, user_id);
CREATE TABLE alert_counts (
        kind TEXT NOT NULL,
        app_id BIGINT NOT NULL,
        firing INTEGER NOT NULL,
        PRIMARY KEY (kind, app_id)
    ) WITHOUT ROWID
    ;
CREATE INDEX alerts_by_kind ON alerts (kind, id);
CREATE INDEX alerts_firing_by_kind ON alerts (kind, id) WHERE state = 'firing';
CREATE INDEX alerts_firing_by_id ON alerts (id) WHERE state = 'firing';
CREATE INDEX alerts_acknowledged ON alerts (id) WHERE state = 'firing' AND acknowledged_at_us IS NOT NULL;
CREATE TABLE app_hours (
            app_id BIGINT NOT NULL,
            hour INTEGER NOT NULL,
            minutes BIGINT NOT NULL,
            users INTEGER,
            PRIMARY KEY (app_id, hour)
        ) WITHOUT ROWID
        ;
CREATE INDEX alert_messages_by_acceptance ON alert_messages (sent_at_us) WHERE sent_at_us IS NOT NULL;
CREATE TABLE happenings (
        user_key INTEGER NOT NULL,
        kind TEXT NOT NULL,
        minute INTEGER NOT NULL,
        platform TEXT NOT NULL,
        sdk_version TEXT NOT NULL,
        app_version TEXT NOT NULL,
        app_id BIGINT NOT NULL,
        first_us BIGINT NOT NULL,
        last_us BIGINT NOT NULL,
        times INTEGER NOT NULL,
        PRIMARY KEY (user_key, kind, minute, platform, sdk_version, app_version)
    ) WITHOUT ROWID
    ;
CREATE INDEX happenings_by_moment ON happenings (app_id, kind, last_us, user_key, first_us, times);
CREATE TABLE user_watches (
            id INTEGER NOT NULL PRIMARY KEY,
            app_id BIGINT NOT NULL,
            user_id TEXT NOT NULL,
            author TEXT NOT NULL,
            receiver TEXT,
            created_at_us BIGINT NOT NULL,
            until_us BIGINT NOT NULL,
            UNIQUE (app_id, user_id, author)
        );
CREATE TABLE old_reporters (
        app_id BIGINT NOT NULL,
        day INTEGER NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        devices INTEGER NOT NULL,
        PRIMARY KEY (app_id, day, name, version)
    ) WITHOUT ROWID
    ;
CREATE TABLE audit_log (
        id INTEGER NOT NULL,
        at_us BIGINT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT,
        address TEXT,
        request_id TEXT,
        details TEXT,
        hash BLOB NOT NULL,
        seal BLOB NOT NULL,
        PRIMARY KEY (id)
    );
CREATE INDEX audit_log_by_subject ON audit_log (subject, id) WHERE subject IS NOT NULL;
CREATE INDEX audit_log_by_time ON audit_log (at_us);
CREATE TABLE audit_marks (
        name TEXT NOT NULL,
        id INTEGER NOT NULL,
        at_us BIGINT NOT NULL,
        hash BLOB NOT NULL,
        seal BLOB NOT NULL,
        PRIMARY KEY (name)
    ) WITHOUT ROWID
    ;
CREATE TABLE audit_subjects (
        pseudonym TEXT NOT NULL,
        app_id BIGINT,
        user_id TEXT NOT NULL,
        PRIMARY KEY (pseudonym)
    ) WITHOUT ROWID
    ;
CREATE INDEX audit_subjects_by_user ON audit_subjects (app_id, user_id);
CREATE TABLE accounts (
        id INTEGER NOT NULL PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        apps TEXT,
        password_hash TEXT,
        totp_secret BLOB,
        totp_step BIGINT,
        created_at_us BIGINT NOT NULL,
        password_changed_at_us BIGINT,
        signed_in_at_us BIGINT,
        disabled_at_us BIGINT
    );
CREATE TABLE account_links (
        secret_sha256 BLOB NOT NULL PRIMARY KEY,
        account_id INTEGER NOT NULL UNIQUE,
        until_us BIGINT NOT NULL
    );
CREATE TABLE recovery_codes (
        account_id INTEGER NOT NULL,
        code_sha256 BLOB NOT NULL,
        PRIMARY KEY (account_id, code_sha256)
    );
CREATE TABLE browser_sessions (
        id INTEGER NOT NULL PRIMARY KEY,
        secret_sha256 BLOB NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        token_id INTEGER,
        account_id INTEGER,
        issuer TEXT,
        subject TEXT,
        role TEXT,
        apps TEXT,
        refresh TEXT,
        checked_at_us BIGINT,
        name TEXT NOT NULL,
        address TEXT NOT NULL,
        browser TEXT NOT NULL,
        created_at_us BIGINT NOT NULL,
        seen_at_us BIGINT NOT NULL
    , ended TEXT);
CREATE INDEX browser_sessions_by_owner ON browser_sessions (owner, seen_at_us);
CREATE TABLE erasures (
        id INTEGER NOT NULL PRIMARY KEY,
        app_id BIGINT NOT NULL,
        user_id TEXT,
        pseudonym TEXT NOT NULL,
        asked_at_us BIGINT NOT NULL,
        began_at_us BIGINT,
        finished_at_us BIGINT,
        user_key INTEGER,
        through_position INTEGER,
        holding TEXT,
        cursor INTEGER NOT NULL,
        removed TEXT NOT NULL
    );
CREATE INDEX erasures_pending ON erasures (id) WHERE finished_at_us IS NULL;
CREATE INDEX erasures_by_pseudonym ON erasures (pseudonym, through_position);
CREATE INDEX erasures_by_position ON erasures (through_position);
INSERT INTO "alembic_version" (version_num) VALUES ('0061_makers_of_tokens');
INSERT INTO "lease_stretches" (stretch, begins_us, skipped_us, alive_us, heartbeat_after_s, heartbeat_clients, holds_heartbeats) VALUES (1, 0, 0, 1795528800000000, 15, 0, 0);
INSERT INTO "keys" (name, value) VALUES ('hand_off', X'410268348282A6CE74ECA107966A5F3C46E7F2446FF3FB15FE0B9DE7626C7248');
INSERT INTO "keys" (name, value) VALUES ('audit', X'5265C76AFCA0E1D1BDE82CCC3811F8C6ED027369E205E61366A2C720D7C4344A');
INSERT INTO "keys" (name, value) VALUES ('audit_subjects', X'2F4957BC0F446FECEB59C13FFF48C498063CA66FB6D011E2DD17803533AF9718');
INSERT INTO "keys" (name, value) VALUES ('accounts', X'6E0E21D0A17378D87F09CD6B44AC00EE0E73BE338ABDD1B62ABCCC3486697EE1');
INSERT INTO "traces" (trace_id, root_position) VALUES (X'3F6075A051B85C14AFE0FCDF62CA50DA', 3);
INSERT INTO "traces" (trace_id, root_position) VALUES (X'78E492AB3F7F5D8E83955BF144E5CA9F', 2);
INSERT INTO "traces" (trace_id, root_position) VALUES (X'F54D3CD6B7BE5358BE87F540EB0D9D81', 4);
INSERT INTO "user_groups" (group_key, app_id, status, platform, reason, unconfirmed, users) VALUES (1, 1234567890, 'online', 'Web', 'SUCCESS', 0, 1);
INSERT INTO "user_groups" (group_key, app_id, status, platform, reason, unconfirmed, users) VALUES (2, 1234567890, 'offline', 'Web', 'LOGIN_INTERRUPTED', 0, 1);
INSERT INTO "user_groups" (group_key, app_id, status, platform, reason, unconfirmed, users) VALUES (3, 1234567890, 'not_logged_in', 'Web', 'KICKED_OUT', 0, 1);
DELETE FROM "user_search_data";
INSERT INTO "user_search_data" (id, block) VALUES (1, X'030D');
INSERT INTO "user_search_data" (id, block) VALUES (10, X'000000000101010001010101');
INSERT INTO "user_search_data" (id, block) VALUES (137438953473, X'000000BF1330303030303631303030303663303030303639010B08373230303030366603060D32303030303030303030303030020B08366630303030363202060D33303030303631303030303732030C073530303030303001060D3530303030303030303030303001060D3930303030363330303030363501060D63303030303030303030303030030B08363930303030363301060D66303030303632303030303030020C076330303030303003050E37323030303036663030303036630304150B100B100A1010100B100A');
DELETE FROM "user_search_idx";
INSERT INTO "user_search_idx" (segid, term, pgno) VALUES (1, X'', 2);
DELETE FROM "user_search_docsize";
INSERT INTO "user_search_docsize" (id, sz) VALUES (1, X'05');
INSERT INTO "user_search_docsize" (id, sz) VALUES (2, X'03');
INSERT INTO "user_search_docsize" (id, sz) VALUES (3, X'05');
DELETE FROM "user_search_config";
INSERT INTO "user_search_config" (k, v) VALUES ('version', 4);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace, reporter_name, reporter_version, moment_us, proven) VALUES (1, X'92E8E549D6DE5AA99DFBCABAF074427D', 'login', 0, 1795442401001000, X'F7D8BE132A725104BD027A5964737A91', 1, 1234567890, X'78E492AB3F7F5D8E83955BF144E5CA9F', 'alice', 'Web', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"offline_login":false,"token_expires_at_us":1795528800000000}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1795442401001000, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace, reporter_name, reporter_version, moment_us, proven) VALUES (2, X'13D924A7117F5E43B3EECDEAE272A400', 'connection_state_changed', 1795442402000000, 1795442402001000, X'F7D8BE132A725104BD027A5964737A91', 2, 1234567890, X'78E492AB3F7F5D8E83955BF144E5CA9F', 'alice', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '{}', NULL, 1, 1, NULL, NULL, NULL, 1, NULL, NULL, 1795442402000000, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace, reporter_name, reporter_version, moment_us, proven) VALUES (3, X'37D6D201B61F550C930068111AB59D98', 'connection_state_changed', 1795442403000000, 1795442403001000, X'515E93C6378259DB96BEAD5B8CF872A5', 1, 1234567890, X'3F6075A051B85C14AFE0FCDF62CA50DA', 'bob', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '{}', NULL, NULL, NULL, NULL, NULL, NULL, 1, NULL, NULL, 1795442403000000, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace, reporter_name, reporter_version, moment_us, proven) VALUES (4, X'A293C12D8EC05389B2D2D86AE58FD269', 'connection_state_changed', 1795442404000000, 1795442404001000, X'80370EBBD9B55F12A3FBDB3631157840', 1, 1234567890, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 'carol', 'Web', NULL, NULL, NULL, NULL, 'CONNECTED', 'SUCCESS', '{}', NULL, NULL, NULL, NULL, NULL, NULL, 1, NULL, NULL, 1795442404000000, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace, reporter_name, reporter_version, moment_us, proven) VALUES (5, X'498E0F3BE4135263AD20D3A6D23FED09', 'connection_state_changed', 1795442405000000, 1795442405001000, X'515E93C6378259DB96BEAD5B8CF872A5', 2, 1234567890, X'3F6075A051B85C14AFE0FCDF62CA50DA', 'bob', 'Web', NULL, NULL, NULL, NULL, 'RECONNECTING', 'LOGIN_INTERRUPTED', '{}', NULL, 3, 3, 'offline', 'CONNECTED', 2000000, NULL, NULL, NULL, 1795442405000000, NULL);
INSERT INTO "events" (position, id, type, occurred_at_us, received_at_us, client_id, seq, app_id, session_id, user_id, platform, sdk_name, sdk_version, app_version, device_id, connection_state, connection_event, extended_data, details, previous_user_position, previous_client_position, user_status, previous_state, previous_state_duration_us, starts_trace, reporter_name, reporter_version, moment_us, proven) VALUES (6, X'F933C47F922259BFAAF4414680F14DC8', 'connection_state_changed', 4957682406000000, 1795442406001000, X'80370EBBD9B55F12A3FBDB3631157840', 2, 1234567890, X'F54D3CD6B7BE5358BE87F540EB0D9D81', 'carol', 'Web', NULL, NULL, NULL, NULL, 'DISCONNECTED', 'KICKED_OUT', '{}', NULL, 4, 4, 'not_logged_in', 'CONNECTED', 2000000, NULL, NULL, NULL, 1795442406001000, NULL);
INSERT INTO "span_outbox" (first_position, last_position, is_open, spans) VALUES (5, 5, 0, 1);
INSERT INTO "span_outbox" (first_position, last_position, is_open, spans) VALUES (6, 6, 0, 1);
INSERT INTO "user_status" (user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us, last_seen_at_us, last_position, changed_position, group_key, lease_check_us, lease_lapsed, clients, crowded, left_elsewhere_us) VALUES (1, 1234567890, 'alice', 'online', 1795442402000000, 'SUCCESS', 1795528800000000, 'Web', 1795528802001000, 1795442402001000, 2, 2, 1, 1795528802001000, 0, '[[1099511627777,"99i+EypyUQS9AnpZZHN6kQ==",1,["online",1795442402000000,"SUCCESS",null,0,"CONNECTED",1795442402000000,"eOSSqz9/XY6DlVvxROXKnw==",true,false,null,1795442401001000,1795528800000000,2,"E9kkpxF/XkOz7s3q4nKkAA==",false,29],1795442402001000,2,false,"Web",null,null,null,null,0,2,null,0,null,null]]', 0, NULL);
INSERT INTO "user_status" (user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us, last_seen_at_us, last_position, changed_position, group_key, lease_check_us, lease_lapsed, clients, crowded, left_elsewhere_us) VALUES (2, 1234567890, 'bob', 'offline', 1795442405000000, 'LOGIN_INTERRUPTED', NULL, 'Web', 1795528805001000, 1795442405001000, 5, 5, 2, 1795528805001000, 0, '[[1099511627779,"UV6TxjeCWduWvq1bjPhypQ==",2,["offline",1795442405000000,"LOGIN_INTERRUPTED",1795442405000000,1,"RECONNECTING",1795442405000000,"P2B1oFG4XBSv4PzfYspQ2g==",false,false,null,null,null,2,"SY4PO+QTUmOtINOm0j/tCQ==",false,7],1795442405001000,5,false,"Web",null,null,null,null,0,2,null,0,null,null]]', 0, NULL);
INSERT INTO "user_status" (user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us, last_seen_at_us, last_position, changed_position, group_key, lease_check_us, lease_lapsed, clients, crowded, left_elsewhere_us) VALUES (3, 1234567890, 'carol', 'not_logged_in', 1795442406001000, 'KICKED_OUT', NULL, 'Web', NULL, 1795442406001000, 6, 6, 3, NULL, 0, '[[1099511627780,"gDcOu9m1XxKj+9s2MRV4QA==",3,["not_logged_in",1795442406001000,"KICKED_OUT",1795442406001000,0,"DISCONNECTED",1795442406001000,"9U081re+U1i+h/VA6w2dgQ==",false,true,"9U081re+U1i+h/VA6w2dgQ==",null,null,2,"+TPEf5IiWb+q9EFGgPFNyA==",false,7],1795442406001000,6,false,"Web",null,null,null,null,3162239999999000,2,null,0,null,null]]', 0, NULL);
INSERT INTO "followers" (name, position) VALUES ('minutes', 6);
INSERT INTO "happenings" (user_key, kind, minute, platform, sdk_version, app_version, app_id, first_us, last_us, times) VALUES (3, 'kicked_out', 29924040, 'Web', '', '', 1234567890, 1795442406001000, 1795442406001000, 1);
INSERT INTO "happenings" (user_key, kind, minute, platform, sdk_version, app_version, app_id, first_us, last_us, times) VALUES (1, 'logged_in', 29924040, 'Web', '', '', 1234567890, 1795442401001000, 1795442401001000, 1);
INSERT INTO "audit_marks" (name, id, at_us, hash, seal) VALUES ('anchor', 0, 0, X'0CB5BCBC2C3E2BADA69FB7A05BD7B41B5A49A5E6528DDF7AEAF2063ADABC3CF8', X'F957E82FDE690373F17FF471D88AA4A0C93A44BB6791AF6FC7ED5E63B3963C90');
INSERT INTO "audit_marks" (name, id, at_us, hash, seal) VALUES ('head', 0, 0, X'0CB5BCBC2C3E2BADA69FB7A05BD7B41B5A49A5E6528DDF7AEAF2063ADABC3CF8', X'1C4437713D4B613194BF343938A1CE303114ABB736F99F71232214E60191EF0C');
