-- The spaces platform's own media in the library, what it has acknowledged, and the order of all changes.

ALTER TABLE library_items ADD COLUMN source text NOT NULL DEFAULT 'kaltura';
ALTER TABLE library_items ADD COLUMN external_id text NOT NULL DEFAULT '';
ALTER TABLE library_items ADD COLUMN tags jsonb;
ALTER TABLE library_items ADD COLUMN detected_360 boolean NOT NULL DEFAULT false;
ALTER TABLE library_items ADD COLUMN content_key text NOT NULL DEFAULT '';
ALTER TABLE library_items ADD COLUMN upload_id text NOT NULL DEFAULT '';
ALTER TABLE library_items ADD COLUMN source_url bytea;
ALTER TABLE library_items ADD COLUMN source_mark text NOT NULL DEFAULT '';
ALTER TABLE library_items ADD COLUMN export jsonb;

-- An entry is imported once per person and kind; media of the spaces platform have no entry, but an external id.
DO $$
DECLARE name text;
BEGIN
    SELECT conname INTO STRICT name FROM pg_constraint WHERE conrelid = 'library_items'::regclass AND contype = 'u';
    EXECUTE format('ALTER TABLE library_items DROP CONSTRAINT %I', name);
END $$;
CREATE UNIQUE INDEX library_items_by_import ON library_items (hub_id, participant_id, client_id, integration_id, entry_id, kind) WHERE source = 'kaltura';
CREATE UNIQUE INDEX library_items_by_external ON library_items (hub_id, client_id, external_id) WHERE external_id <> '';

-- Where a file goes when it is not Kaltura, and the item that it became or comes from.
ALTER TABLE uploads ADD COLUMN target text NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN item_id text NOT NULL DEFAULT '';

-- Per hub the number of the last change, and up to which number removals have been forgotten.
CREATE TABLE library_clocks (
    hub_id  text COLLATE "C" PRIMARY KEY,
    seq     bigint NOT NULL,
    horizon bigint NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);

-- The last change of each item; a removed one stays for a while. "former" are owners it had before.
CREATE TABLE library_changes (
    item_id        text COLLATE "C" PRIMARY KEY,
    hub_id         text COLLATE "C" NOT NULL,
    seq            bigint NOT NULL,
    removed        boolean NOT NULL,
    was_shared     boolean NOT NULL,
    participant_id text NOT NULL,
    client_id      text NOT NULL,
    external_id    text NOT NULL,
    former         text NOT NULL,
    at             timestamptz NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX library_changes_by_seq ON library_changes (hub_id, seq);
CREATE INDEX library_changes_removed ON library_changes (at) WHERE removed;

INSERT INTO library_changes (item_id, hub_id, seq, removed, was_shared, participant_id, client_id, external_id, former, at)
SELECT id, hub_id, row_number() OVER (PARTITION BY hub_id ORDER BY id), false, shared, participant_id, client_id, '', '', updated_at FROM library_items;
INSERT INTO library_clocks (hub_id, seq, horizon) SELECT hub_id, max(seq), 0 FROM library_changes GROUP BY hub_id;

-- What a client says it has taken over.
CREATE TABLE library_acks (
    item_id   text COLLATE "C" NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    hub_id    text COLLATE "C" NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (item_id, client_id),
    FOREIGN KEY (item_id) REFERENCES library_items (id) ON DELETE CASCADE
);

-- Events of items have other names since there are more of them.
UPDATE webhook_endpoints SET events = replace(replace(replace(events::text,
    '"library.share"', '"library.item_shared"'), '"library.unshare"', '"library.item_unshared"'), '"library.remove"', '"library.item_removed"')::jsonb
    WHERE events::text LIKE '%"library.%';
