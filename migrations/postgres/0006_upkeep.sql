-- What keeping a connection alive has to remember between two looks: when the next is due, what was told, the
-- secret of notifications, and the last reports. One row per integration, with its id.
CREATE TABLE upkeeps (
    id           text COLLATE "C" PRIMARY KEY,
    hub_id       text COLLATE "C" NOT NULL,
    version      bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    diagnose_at  timestamptz NOT NULL,
    reconcile_at timestamptz NOT NULL,
    scan_at      timestamptz NOT NULL,
    token_id     text NOT NULL,
    held         jsonb,
    lost         jsonb,
    longest_life bigint NOT NULL,
    warned_for   timestamptz,
    warned_days  bigint NOT NULL,
    hook_secret  bytea,
    hook_made_at timestamptz,
    hook_at      timestamptz,
    report       jsonb,
    spherical    boolean NOT NULL,
    scan         jsonb,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (id) REFERENCES integrations (id) ON DELETE CASCADE
);

-- Entries that look spherical and do not carry the tag.
CREATE TABLE spherical_candidates (
    id             text COLLATE "C" PRIMARY KEY,
    hub_id         text COLLATE "C" NOT NULL,
    version        bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    integration_id text COLLATE "C" NOT NULL,
    entry_id       text NOT NULL,
    name           text NOT NULL,
    type           text NOT NULL,
    owner_id       text NOT NULL,
    width          bigint NOT NULL,
    height         bigint NOT NULL,
    likely         boolean NOT NULL,
    evidence       jsonb,
    state          text NOT NULL,
    job_id         text NOT NULL,
    tagged         boolean NOT NULL,
    error_code     text NOT NULL,
    error_text     text NOT NULL,
    next_step      text NOT NULL,
    UNIQUE (integration_id, entry_id),
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (integration_id) REFERENCES integrations (id) ON DELETE CASCADE
);
CREATE INDEX spherical_candidates_by_state ON spherical_candidates (integration_id, state, id);

-- Since when an item's or upload's entry is gone (lost), or was not listed without being known to be gone (missing).
ALTER TABLE library_items ADD COLUMN source_lost_at timestamptz;
ALTER TABLE library_items ADD COLUMN source_missing_at timestamptz;
ALTER TABLE library_items ADD COLUMN thumb_version text NOT NULL DEFAULT '';
CREATE INDEX library_items_by_entry ON library_items (integration_id, entry_id);
ALTER TABLE uploads ADD COLUMN entry_lost_at timestamptz;
ALTER TABLE uploads ADD COLUMN entry_missing_at timestamptz;
CREATE INDEX uploads_by_entry ON uploads (integration_id, entry_id);
