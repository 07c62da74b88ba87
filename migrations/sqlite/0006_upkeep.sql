-- What keeping a connection alive has to remember between two looks: when the next is due, what was told, the
-- secret of notifications, and the last reports. One row per integration, with its id.
CREATE TABLE upkeeps (
    id           text PRIMARY KEY NOT NULL,
    hub_id       text NOT NULL,
    version      integer NOT NULL,
    created_at   timestamp NOT NULL,
    updated_at   timestamp NOT NULL,
    diagnose_at  timestamp NOT NULL,
    reconcile_at timestamp NOT NULL,
    scan_at      timestamp NOT NULL,
    token_id     text NOT NULL,
    held         text,
    lost         text,
    longest_life integer NOT NULL,
    warned_for   timestamp,
    warned_days  integer NOT NULL,
    hook_secret  blob,
    hook_made_at timestamp,
    hook_at      timestamp,
    report       text,
    spherical    boolean NOT NULL,
    scan         text,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (id) REFERENCES integrations (id) ON DELETE CASCADE
);

-- Entries that look spherical and do not carry the tag.
CREATE TABLE spherical_candidates (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    integration_id text NOT NULL,
    entry_id       text NOT NULL,
    name           text NOT NULL,
    type           text NOT NULL,
    owner_id       text NOT NULL,
    width          integer NOT NULL,
    height         integer NOT NULL,
    likely         boolean NOT NULL,
    evidence       text,
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
ALTER TABLE library_items ADD COLUMN source_lost_at timestamp;
ALTER TABLE library_items ADD COLUMN source_missing_at timestamp;
ALTER TABLE library_items ADD COLUMN thumb_version text NOT NULL DEFAULT '';
CREATE INDEX library_items_by_entry ON library_items (integration_id, entry_id);
ALTER TABLE uploads ADD COLUMN entry_lost_at timestamp;
ALTER TABLE uploads ADD COLUMN entry_missing_at timestamp;
CREATE INDEX uploads_by_entry ON uploads (integration_id, entry_id);
