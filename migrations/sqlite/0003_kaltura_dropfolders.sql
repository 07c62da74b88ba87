-- Drop folders with their XML jobs, categories with entitlement, captions.

CREATE TABLE kaltura_drop_folders (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    number           integer NOT NULL,
    name             text NOT NULL,
    description      text NOT NULL,
    type             integer NOT NULL,
    status           integer NOT NULL,
    dc               integer NOT NULL,
    path             text NOT NULL,
    profile          integer NOT NULL,
    check_interval   integer NOT NULL,
    delete_policy    integer NOT NULL,
    handler          text NOT NULL,
    match_policy     integer NOT NULL,
    slug_regex       text NOT NULL,
    patterns         text NOT NULL,
    ignore_patterns  text NOT NULL,
    tags             text NOT NULL,
    last_accessed_at timestamp,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_drop_folder_files (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    number          integer NOT NULL,
    folder          integer NOT NULL,
    file_name       text NOT NULL,
    file_size       integer NOT NULL,
    size_set_at     timestamp NOT NULL,
    status          integer NOT NULL,
    type            integer NOT NULL,
    parsed_slug     text NOT NULL,
    parsed_flavor   text NOT NULL,
    parsed_user     text NOT NULL,
    lead            integer NOT NULL,
    deleted         integer NOT NULL,
    entry_id        text NOT NULL,
    error_code      text NOT NULL,
    error_text      text NOT NULL,
    modified_at     integer NOT NULL,
    upload_began_at timestamp,
    upload_ended_at timestamp,
    job             integer NOT NULL,
    PRIMARY KEY (partner_id, id)
);
-- A name is in a folder once; purged rows stand aside by their own number.
CREATE UNIQUE INDEX kaltura_drop_folder_files_by_name ON kaltura_drop_folder_files (partner_id, folder, file_name, deleted);

CREATE TABLE kaltura_batch_jobs (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    number       integer NOT NULL,
    kind         text NOT NULL,
    folder       integer NOT NULL,
    lead         integer NOT NULL,
    file_name    text NOT NULL,
    status       integer NOT NULL,
    message      text NOT NULL,
    description  text NOT NULL,
    objects      integer NOT NULL,
    input        blob,
    results      text,
    log          text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_batch_jobs_by_status ON kaltura_batch_jobs (status);

CREATE TABLE kaltura_categories (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    number          integer NOT NULL,
    parent          integer NOT NULL,
    name            text NOT NULL,
    full_name       text NOT NULL,
    full_ids        text NOT NULL,
    description     text NOT NULL,
    tags            text NOT NULL,
    reference_id    text NOT NULL,
    owner           text NOT NULL,
    privacy         integer NOT NULL,
    privacy_context text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE UNIQUE INDEX kaltura_categories_by_name ON kaltura_categories (partner_id, full_name);

CREATE TABLE kaltura_category_entries (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    category  integer NOT NULL,
    entry_id  text NOT NULL,
    full_ids  text NOT NULL,
    user_id   text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_category_entries_by_entry ON kaltura_category_entries (partner_id, entry_id);

CREATE TABLE kaltura_category_users (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    category   integer NOT NULL,
    user_id    text NOT NULL,
    permission integer NOT NULL,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_captions (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    entry_id   text NOT NULL,
    language   text NOT NULL,
    label      text NOT NULL,
    format     text NOT NULL,
    is_default boolean NOT NULL,
    status     integer NOT NULL,
    file_ext   text NOT NULL,
    content    text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_captions_by_entry ON kaltura_captions (partner_id, entry_id);

-- The categories of an entry as it shows them, and for search.
ALTER TABLE kaltura_entries ADD COLUMN categories text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN category_ids text NOT NULL DEFAULT '';
ALTER TABLE kaltura_accounts ADD COLUMN entitlement boolean NOT NULL DEFAULT FALSE;
