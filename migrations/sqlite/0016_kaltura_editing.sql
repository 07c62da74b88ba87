-- The embedded platform: what ingestion files say of entries, pictures and flavors put there by hand, custom metadata.

ALTER TABLE kaltura_entries ADD COLUMN start_at integer NOT NULL DEFAULT 0;
ALTER TABLE kaltura_entries ADD COLUMN end_at integer NOT NULL DEFAULT 0;
ALTER TABLE kaltura_entries ADD COLUMN sort_value integer NOT NULL DEFAULT 0;
ALTER TABLE kaltura_entries ADD COLUMN can_edit text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN can_publish text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN can_view text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN parent_id text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN template_id text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN thumb_id text NOT NULL DEFAULT '';

-- A flavor that was uploaded as it is: no package may take its place.
ALTER TABLE kaltura_flavors ADD COLUMN given boolean NOT NULL DEFAULT FALSE;

CREATE TABLE kaltura_thumbs (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    entry_id    text NOT NULL,
    status      integer NOT NULL,
    tags        text NOT NULL,
    description text NOT NULL,
    params      integer NOT NULL,
    blob        text NOT NULL,
    size        integer NOT NULL,
    width       integer NOT NULL,
    height      integer NOT NULL,
    file_ext    text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_thumbs_by_entry ON kaltura_thumbs (partner_id, entry_id);

CREATE TABLE kaltura_metadata_profiles (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    number      integer NOT NULL,
    object_type text NOT NULL,
    name        text NOT NULL,
    system_name text NOT NULL,
    description text NOT NULL,
    xsd         text NOT NULL,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_metadata (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    number      integer NOT NULL,
    profile     integer NOT NULL,
    object_type text NOT NULL,
    object_id   text NOT NULL,
    xml         text NOT NULL,
    deleted     integer NOT NULL,
    PRIMARY KEY (partner_id, id)
);
-- An object has one set of values of a profile; deleted ones stand aside by their own number.
CREATE UNIQUE INDEX kaltura_metadata_by_object ON kaltura_metadata (partner_id, profile, object_type, object_id, deleted);
