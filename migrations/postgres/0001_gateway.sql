-- The gateway's tables. Ids are compared byte by byte (COLLATE "C"), as on SQLite.

-- id and hub_id are equal.
CREATE TABLE hubs (
    id            text COLLATE "C" PRIMARY KEY,
    hub_id        text COLLATE "C" NOT NULL,
    version       bigint NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    issuer        text NOT NULL,
    external_id   text NOT NULL,
    name          text NOT NULL,
    plan          text NOT NULL,
    downgraded_at timestamptz,
    quota_bytes   bigint NOT NULL,
    UNIQUE (issuer, external_id)
);

CREATE TABLE participants (
    id             text COLLATE "C" PRIMARY KEY,
    hub_id         text COLLATE "C" NOT NULL,
    version        bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    issuer         text NOT NULL,
    subject        text NOT NULL,
    email          text NOT NULL,
    email_verified boolean NOT NULL,
    name           text NOT NULL,
    role           text NOT NULL,
    suspended_at   timestamptz,
    UNIQUE (hub_id, issuer, subject),
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX participants_by_subject ON participants (issuer, subject);

-- A person may be in several hubs: hub_id is empty and no foreign key.
CREATE TABLE sessions (
    id         text COLLATE "C" PRIMARY KEY,
    hub_id     text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    issuer     text NOT NULL,
    subject    text NOT NULL,
    email      text NOT NULL,
    name       text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE clients (
    id          text COLLATE "C" PRIMARY KEY,
    hub_id      text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    name        text NOT NULL,
    secret_hash bytea,
    scopes      jsonb,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX clients_by_hub ON clients (hub_id);

-- Keys of the token issuer, sealed. hub_id is empty.
CREATE TABLE signing_keys (
    id         text COLLATE "C" PRIMARY KEY,
    hub_id     text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    alg        text NOT NULL,
    private    bytea,
    retired_at timestamptz
);

CREATE TABLE integrations (
    id           text COLLATE "C" PRIMARY KEY,
    hub_id       text COLLATE "C" NOT NULL,
    version      bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    platform     text NOT NULL,
    service_url  text NOT NULL,
    partner_id   bigint NOT NULL,
    app_token_id text NOT NULL,
    app_token    bytea,
    token_last4  text NOT NULL,
    hash_type    text NOT NULL,
    visibility   text NOT NULL,
    mapping_mode text NOT NULL,
    match_by     text NOT NULL,
    health       text NOT NULL,
    health_text  text NOT NULL,
    health_at    timestamptz NOT NULL,
    diagnosis    jsonb,
    UNIQUE (hub_id, platform),
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);

CREATE TABLE invites (
    id         text COLLATE "C" PRIMARY KEY,
    hub_id     text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    visibility text NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX invites_by_expiry ON invites (expires_at);

CREATE TABLE mappings (
    id               text COLLATE "C" PRIMARY KEY,
    hub_id           text COLLATE "C" NOT NULL,
    version          bigint NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    integration_id   text COLLATE "C" NOT NULL,
    participant_id   text COLLATE "C" NOT NULL,
    platform_user_id text NOT NULL,
    how              text NOT NULL,
    state            text NOT NULL,
    candidates       jsonb,
    last_used_at     timestamptz NOT NULL,
    UNIQUE (integration_id, participant_id),
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (integration_id) REFERENCES integrations (id) ON DELETE CASCADE,
    FOREIGN KEY (participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
CREATE INDEX mappings_by_hub ON mappings (hub_id, id);
CREATE INDEX mappings_by_platform_user ON mappings (integration_id, platform_user_id);
CREATE INDEX mappings_by_participant ON mappings (participant_id);

-- Integration, participant and client may be gone before an upload is: no foreign keys to them.
CREATE TABLE uploads (
    id             text COLLATE "C" PRIMARY KEY,
    hub_id         text COLLATE "C" NOT NULL,
    version        bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    participant_id text NOT NULL,
    client_id      text NOT NULL,
    integration_id text NOT NULL,
    name           text NOT NULL,
    title          text NOT NULL,
    description    text NOT NULL,
    tags           jsonb,
    content_type   text NOT NULL,
    size           bigint NOT NULL,
    fingerprint    text NOT NULL,
    state          text NOT NULL,
    received       bigint NOT NULL,
    sha256         text NOT NULL,
    replica        text NOT NULL,
    relay_handle   text NOT NULL,
    relay_sent     jsonb,
    entry_id       text NOT NULL,
    inspection     jsonb,
    progress       double precision NOT NULL,
    error_code     text NOT NULL,
    error_text     text NOT NULL,
    next_step      text NOT NULL,
    expires_at     timestamptz NOT NULL,
    finished_at    timestamptz,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX uploads_by_hub ON uploads (hub_id, id);
CREATE INDEX uploads_by_participant ON uploads (hub_id, participant_id, id);
CREATE INDEX uploads_by_expiry ON uploads (state, expires_at);
CREATE INDEX uploads_by_replica ON uploads (replica, state);

-- Links outlive a disconnect and then say why they do not play: no foreign key to the integration.
CREATE TABLE library_items (
    id             text COLLATE "C" PRIMARY KEY,
    hub_id         text COLLATE "C" NOT NULL,
    version        bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    participant_id text NOT NULL,
    client_id      text NOT NULL,
    integration_id text NOT NULL,
    entry_id       text NOT NULL,
    kind           text NOT NULL,
    rendition_id   text NOT NULL,
    name           text NOT NULL,
    type           text NOT NULL,
    is_360         boolean NOT NULL,
    duration_ms    bigint NOT NULL,
    state          text NOT NULL,
    shared         boolean NOT NULL,
    asset_id       text NOT NULL,
    job_id         text NOT NULL,
    error_code     text NOT NULL,
    error_text     text NOT NULL,
    next_step      text NOT NULL,
    UNIQUE (hub_id, participant_id, client_id, integration_id, entry_id, kind),
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX library_items_by_hub ON library_items (hub_id, id);

-- Assets of the embedded platform belong to an entry and to no hub: hub_id may be empty, no foreign key.
CREATE TABLE assets (
    id         text COLLATE "C" PRIMARY KEY,
    hub_id     text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    owner_kind text NOT NULL,
    owner_id   text NOT NULL,
    state      text NOT NULL,
    file_name  text NOT NULL,
    original   text NOT NULL,
    size       bigint NOT NULL,
    sha256     text NOT NULL,
    inspection jsonb,
    package    jsonb,
    progress   double precision NOT NULL,
    attempt    bigint NOT NULL,
    error_code text NOT NULL,
    error_text text NOT NULL
);
CREATE INDEX assets_by_owner ON assets (owner_kind, owner_id);

CREATE TABLE jobs (
    id               text COLLATE "C" PRIMARY KEY,
    hub_id           text COLLATE "C" NOT NULL,
    version          bigint NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    participant_id   text NOT NULL,
    client_id        text NOT NULL,
    kind             text NOT NULL,
    subject          text NOT NULL,
    state            text NOT NULL,
    progress         double precision NOT NULL,
    attempt          bigint NOT NULL,
    next_try_at      timestamptz,
    cancel_requested boolean NOT NULL,
    error_code       text NOT NULL,
    error_text       text NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX jobs_by_hub ON jobs (hub_id, id);
CREATE INDEX jobs_by_subject ON jobs (subject);

-- No foreign key: it would lock the hub's row at the very end of a transaction (see store/event.go).
CREATE TABLE events (
    seq            bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    hub_id         text COLLATE "C" NOT NULL,
    participant_id text NOT NULL,
    type           text NOT NULL,
    subject        text NOT NULL,
    data           jsonb,
    at             timestamptz NOT NULL
);
CREATE INDEX events_by_hub ON events (hub_id, seq);

-- The audit log outlives what it speaks of: no foreign key.
CREATE TABLE audit_records (
    id         text COLLATE "C" PRIMARY KEY,
    hub_id     text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    actor      text NOT NULL,
    action     text NOT NULL,
    subject    text NOT NULL,
    data       jsonb
);
CREATE INDEX audit_records_by_hub ON audit_records (hub_id, id);

-- One row per running process; a process that stays silent is dead and its tasks are queued again.
CREATE TABLE replicas (
    id      text COLLATE "C" PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
