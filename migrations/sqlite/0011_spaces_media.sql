-- The spaces platform's own media in the library, what it has acknowledged, and the order of all changes.

-- Made anew, because SQLite cannot drop the constraint that an entry is imported once per person and kind: media of
-- the spaces platform have no entry, but an external id.
CREATE TABLE library_items_new (
    id                text PRIMARY KEY NOT NULL,
    hub_id            text NOT NULL,
    version           integer NOT NULL,
    created_at        timestamp NOT NULL,
    updated_at        timestamp NOT NULL,
    participant_id    text NOT NULL,
    client_id         text NOT NULL,
    integration_id    text NOT NULL,
    entry_id          text NOT NULL,
    kind              text NOT NULL,
    rendition_id      text NOT NULL,
    name              text NOT NULL,
    type              text NOT NULL,
    is_360            boolean NOT NULL,
    duration_ms       integer NOT NULL,
    state             text NOT NULL,
    shared            boolean NOT NULL,
    asset_id          text NOT NULL,
    job_id            text NOT NULL,
    error_code        text NOT NULL,
    error_text        text NOT NULL,
    next_step         text NOT NULL,
    source_lost_at    timestamp,
    source_missing_at timestamp,
    thumb_version     text NOT NULL DEFAULT '',
    source            text NOT NULL DEFAULT 'kaltura',
    external_id       text NOT NULL DEFAULT '',
    tags              text,
    detected_360      boolean NOT NULL DEFAULT false,
    content_key       text NOT NULL DEFAULT '',
    upload_id         text NOT NULL DEFAULT '',
    source_url        blob,
    source_mark       text NOT NULL DEFAULT '',
    export            text,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
INSERT INTO library_items_new (id, hub_id, version, created_at, updated_at, participant_id, client_id, integration_id, entry_id, kind,
    rendition_id, name, type, is_360, duration_ms, state, shared, asset_id, job_id, error_code, error_text, next_step,
    source_lost_at, source_missing_at, thumb_version)
SELECT id, hub_id, version, created_at, updated_at, participant_id, client_id, integration_id, entry_id, kind,
    rendition_id, name, type, is_360, duration_ms, state, shared, asset_id, job_id, error_code, error_text, next_step,
    source_lost_at, source_missing_at, thumb_version FROM library_items;
DROP TABLE library_items;
ALTER TABLE library_items_new RENAME TO library_items;
CREATE INDEX library_items_by_hub ON library_items (hub_id, id);
CREATE INDEX library_items_by_entry ON library_items (integration_id, entry_id);
CREATE INDEX library_items_by_participant ON library_items (hub_id, participant_id, id);
CREATE UNIQUE INDEX library_items_by_import ON library_items (hub_id, participant_id, client_id, integration_id, entry_id, kind) WHERE source = 'kaltura';
CREATE UNIQUE INDEX library_items_by_external ON library_items (hub_id, client_id, external_id) WHERE external_id <> '';

-- Where a file goes when it is not Kaltura, and the item that it became or comes from.
ALTER TABLE uploads ADD COLUMN target text NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN item_id text NOT NULL DEFAULT '';

-- Per hub the number of the last change, and up to which number removals have been forgotten.
CREATE TABLE library_clocks (
    hub_id  text PRIMARY KEY NOT NULL,
    seq     integer NOT NULL,
    horizon integer NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);

-- The last change of each item; a removed one stays for a while. "former" are owners it had before.
CREATE TABLE library_changes (
    item_id        text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    seq            integer NOT NULL,
    removed        boolean NOT NULL,
    was_shared     boolean NOT NULL,
    participant_id text NOT NULL,
    client_id      text NOT NULL,
    external_id    text NOT NULL,
    former         text NOT NULL,
    at             timestamp NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX library_changes_by_seq ON library_changes (hub_id, seq);
CREATE INDEX library_changes_removed ON library_changes (at) WHERE removed;

INSERT INTO library_changes (item_id, hub_id, seq, removed, was_shared, participant_id, client_id, external_id, former, at)
SELECT id, hub_id, row_number() OVER (PARTITION BY hub_id ORDER BY id), false, shared, participant_id, client_id, '', '', updated_at FROM library_items;
INSERT INTO library_clocks (hub_id, seq, horizon) SELECT hub_id, max(seq), 0 FROM library_changes GROUP BY hub_id;

-- What a client says it has taken over.
CREATE TABLE library_acks (
    item_id   text NOT NULL,
    client_id text NOT NULL,
    hub_id    text NOT NULL,
    at        timestamp NOT NULL,
    PRIMARY KEY (item_id, client_id),
    FOREIGN KEY (item_id) REFERENCES library_items (id) ON DELETE CASCADE
);

-- Events of items have other names since there are more of them.
UPDATE webhook_endpoints SET events = replace(replace(replace(events,
    '"library.share"', '"library.item_shared"'), '"library.unshare"', '"library.item_unshared"'), '"library.remove"', '"library.item_removed"')
    WHERE events LIKE '%"library.%';
