-- The embedded platform: what ingestion files say of entries, pictures and flavors put there by hand, custom metadata.

ALTER TABLE kaltura_entries ADD COLUMN start_at bigint NOT NULL DEFAULT 0;
ALTER TABLE kaltura_entries ADD COLUMN end_at bigint NOT NULL DEFAULT 0;
ALTER TABLE kaltura_entries ADD COLUMN sort_value bigint NOT NULL DEFAULT 0;
ALTER TABLE kaltura_entries ADD COLUMN can_edit text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN can_publish text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN can_view text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN parent_id text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN template_id text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN thumb_id text NOT NULL DEFAULT '';

-- A flavor that was uploaded as it is: no package may take its place.
ALTER TABLE kaltura_flavors ADD COLUMN given boolean NOT NULL DEFAULT FALSE;

CREATE TABLE kaltura_thumbs (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    entry_id    text COLLATE "C" NOT NULL,
    status      bigint NOT NULL,
    tags        text NOT NULL,
    description text NOT NULL,
    params      bigint NOT NULL,
    blob        text NOT NULL,
    size        bigint NOT NULL,
    width       bigint NOT NULL,
    height      bigint NOT NULL,
    file_ext    text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_thumbs_by_entry ON kaltura_thumbs (partner_id, entry_id);

CREATE TABLE kaltura_metadata_profiles (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    number      bigint NOT NULL,
    object_type text COLLATE "C" NOT NULL,
    name        text NOT NULL,
    system_name text COLLATE "C" NOT NULL,
    description text NOT NULL,
    xsd         text NOT NULL,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_metadata (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    number      bigint NOT NULL,
    profile     bigint NOT NULL,
    object_type text COLLATE "C" NOT NULL,
    object_id   text COLLATE "C" NOT NULL,
    xml         text NOT NULL,
    deleted     bigint NOT NULL,
    PRIMARY KEY (partner_id, id)
);
-- An object has one set of values of a profile; deleted ones stand aside by their own number.
CREATE UNIQUE INDEX kaltura_metadata_by_object ON kaltura_metadata (partner_id, profile, object_type, object_id, deleted);
