-- Identity providers that operators added. hub_id is empty.
CREATE TABLE identity_providers (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    issuer         text NOT NULL,
    name           text NOT NULL,
    client_id      text NOT NULL,
    client_secret  blob,
    scopes         text,
    audiences      text,
    email_domains  text,
    claims         text,
    max_token_age  integer NOT NULL,
    webhook_secret blob,
    disabled_at    timestamp,
    UNIQUE (issuer)
);

-- Held: suspended until somebody lifts it. Told at: of the provider's newest word about a membership or a hub's plan.
ALTER TABLE participants ADD COLUMN held boolean NOT NULL DEFAULT false;
ALTER TABLE participants ADD COLUMN told_at timestamp;
ALTER TABLE participants ADD COLUMN erased_at timestamp;
ALTER TABLE hubs ADD COLUMN told_at timestamp;

-- The provider's own session, which its log-out names.
ALTER TABLE sessions ADD COLUMN sid text NOT NULL DEFAULT '';
CREATE INDEX sessions_by_person ON sessions (issuer, subject);
CREATE INDEX sessions_by_sid ON sessions (issuer, sid);

-- What was asked to be erased; nothing in it tells who the person was. The participant's row goes with the work.
CREATE TABLE erasures (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    participant_id text NOT NULL,
    requested_by   text NOT NULL,
    done           text,
    finished_at    timestamp,
    UNIQUE (participant_id),
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX erasures_by_hub ON erasures (hub_id, id);
CREATE INDEX library_items_by_participant ON library_items (hub_id, participant_id, id);
CREATE INDEX jobs_by_participant ON jobs (hub_id, participant_id, id);
