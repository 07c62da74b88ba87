-- The authorization server: clients of every kind, what people granted them, and the short-lived halves of the flows.

-- A client with an empty hub_id serves all hubs, so there is no foreign key; deleting a hub deletes its clients in store.
CREATE TABLE clients_now (
    id            text PRIMARY KEY NOT NULL,
    hub_id        text NOT NULL,
    version       integer NOT NULL,
    created_at    timestamp NOT NULL,
    updated_at    timestamp NOT NULL,
    name          text NOT NULL,
    secret_hash   blob,
    scopes        text,
    type          text NOT NULL DEFAULT 'machine',
    auth_method   text NOT NULL DEFAULT 'client_secret_basic',
    redirect_uris text,
    origins       text,
    jwks          text NOT NULL DEFAULT '',
    created_by    text NOT NULL DEFAULT '',
    last_used_at  timestamp,
    disabled_at   timestamp
);
INSERT INTO clients_now (id, hub_id, version, created_at, updated_at, name, secret_hash, scopes)
    SELECT id, hub_id, version, created_at, updated_at, name, secret_hash, scopes FROM clients;
DROP TABLE clients;
ALTER TABLE clients_now RENAME TO clients;
CREATE INDEX clients_by_hub ON clients (hub_id);

-- A key is published before it signs, and kept until what it signed has ended.
ALTER TABLE signing_keys ADD COLUMN signs_from timestamp;

-- What a person allows a client in a hub. A revoked one stays as it is; allowing again makes another.
CREATE TABLE grants (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    client_id      text NOT NULL,
    participant_id text NOT NULL,
    scopes         text,
    consented      text,
    via            text NOT NULL,
    last_used_at   timestamp,
    revoked_at     timestamp,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (client_id) REFERENCES clients (id) ON DELETE CASCADE,
    FOREIGN KEY (participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX grants_live ON grants (client_id, participant_id) WHERE revoked_at IS NULL;
CREATE INDEX grants_by_participant ON grants (participant_id);
CREATE INDEX grants_by_hub ON grants (hub_id);

-- Authorization requests that wait for a person. hub_id is empty: the person chooses it.
CREATE TABLE authorization_requests (
    id           text PRIMARY KEY NOT NULL,
    hub_id       text NOT NULL,
    version      integer NOT NULL,
    created_at   timestamp NOT NULL,
    updated_at   timestamp NOT NULL,
    client_id    text NOT NULL,
    redirect_uri text NOT NULL,
    state        text NOT NULL,
    scopes       text,
    challenge    text NOT NULL,
    decided_at   timestamp,
    expires_at   timestamp NOT NULL,
    FOREIGN KEY (client_id) REFERENCES clients (id) ON DELETE CASCADE
);
CREATE INDEX authorization_requests_by_client ON authorization_requests (client_id);
CREATE INDEX authorization_requests_by_expiry ON authorization_requests (expires_at);

-- A family is all refresh tokens that follow from one sign-in at an app.
CREATE TABLE token_families (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    grant_id       text NOT NULL,
    client_id      text NOT NULL,
    participant_id text NOT NULL,
    scopes         text,
    revoked_at     timestamp,
    expires_at     timestamp NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (grant_id) REFERENCES grants (id) ON DELETE CASCADE
);
CREATE INDEX token_families_by_grant ON token_families (grant_id);
CREATE INDEX token_families_by_hub ON token_families (hub_id);
CREATE INDEX token_families_by_expiry ON token_families (expires_at);

-- The id of a code, refresh token or device code is its SHA-256.
CREATE TABLE authorization_codes (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    grant_id       text NOT NULL,
    client_id      text NOT NULL,
    participant_id text NOT NULL,
    scopes         text,
    redirect_uri   text NOT NULL,
    challenge      text NOT NULL,
    family_id      text NOT NULL,
    used_at        timestamp,
    expires_at     timestamp NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (grant_id) REFERENCES grants (id) ON DELETE CASCADE
);
CREATE INDEX authorization_codes_by_grant ON authorization_codes (grant_id);
CREATE INDEX authorization_codes_by_hub ON authorization_codes (hub_id);
CREATE INDEX authorization_codes_by_expiry ON authorization_codes (expires_at);

CREATE TABLE refresh_tokens (
    id         text PRIMARY KEY NOT NULL,
    hub_id     text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    family_id  text NOT NULL,
    used_at    timestamp,
    expires_at timestamp NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (family_id) REFERENCES token_families (id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_by_hub ON refresh_tokens (hub_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- hub_id is empty: the grant has it.
CREATE TABLE device_codes (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    client_id      text NOT NULL,
    user_code_hash text NOT NULL,
    scopes         text,
    state          text NOT NULL,
    grant_id       text NOT NULL,
    family_id      text NOT NULL,
    interval_s     integer NOT NULL,
    polled_at      timestamp,
    expires_at     timestamp NOT NULL,
    UNIQUE (user_code_hash),
    FOREIGN KEY (client_id) REFERENCES clients (id) ON DELETE CASCADE
);
CREATE INDEX device_codes_by_client ON device_codes (client_id);
CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);

-- What must not be taken a second time or any more: used client assertions, revoked access tokens.
CREATE TABLE spent_tokens (
    id         text PRIMARY KEY NOT NULL,
    hub_id     text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    expires_at timestamp NOT NULL
);
CREATE INDEX spent_tokens_by_expiry ON spent_tokens (expires_at);
