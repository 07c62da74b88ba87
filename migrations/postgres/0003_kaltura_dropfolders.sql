-- Drop folders with their XML jobs, categories with entitlement, captions.

CREATE TABLE kaltura_drop_folders (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    number           bigint NOT NULL,
    name             text COLLATE "C" NOT NULL,
    description      text NOT NULL,
    type             bigint NOT NULL,
    status           bigint NOT NULL,
    dc               bigint NOT NULL,
    path             text COLLATE "C" NOT NULL,
    profile          bigint NOT NULL,
    check_interval   bigint NOT NULL,
    delete_policy    bigint NOT NULL,
    handler          text NOT NULL,
    match_policy     bigint NOT NULL,
    slug_regex       text NOT NULL,
    patterns         text NOT NULL,
    ignore_patterns  text NOT NULL,
    tags             text NOT NULL,
    last_accessed_at timestamptz,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_drop_folder_files (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    number          bigint NOT NULL,
    folder          bigint NOT NULL,
    file_name       text COLLATE "C" NOT NULL,
    file_size       bigint NOT NULL,
    size_set_at     timestamptz NOT NULL,
    status          bigint NOT NULL,
    type            bigint NOT NULL,
    parsed_slug     text NOT NULL,
    parsed_flavor   text NOT NULL,
    parsed_user     text NOT NULL,
    lead            bigint NOT NULL,
    deleted         bigint NOT NULL,
    entry_id        text COLLATE "C" NOT NULL,
    error_code      text NOT NULL,
    error_text      text NOT NULL,
    modified_at     bigint NOT NULL,
    upload_began_at timestamptz,
    upload_ended_at timestamptz,
    job             bigint NOT NULL,
    PRIMARY KEY (partner_id, id)
);
-- A name is in a folder once; purged rows stand aside by their own number.
CREATE UNIQUE INDEX kaltura_drop_folder_files_by_name ON kaltura_drop_folder_files (partner_id, folder, file_name, deleted);

CREATE TABLE kaltura_batch_jobs (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    number       bigint NOT NULL,
    kind         text NOT NULL,
    folder       bigint NOT NULL,
    lead         bigint NOT NULL,
    file_name    text COLLATE "C" NOT NULL,
    status       bigint NOT NULL,
    message      text NOT NULL,
    description  text NOT NULL,
    objects      bigint NOT NULL,
    input        bytea,
    results      jsonb,
    log          text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_batch_jobs_by_status ON kaltura_batch_jobs (status);

CREATE TABLE kaltura_categories (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    number          bigint NOT NULL,
    parent          bigint NOT NULL,
    name            text COLLATE "C" NOT NULL,
    full_name       text COLLATE "C" NOT NULL,
    full_ids        text COLLATE "C" NOT NULL,
    description     text NOT NULL,
    tags            text NOT NULL,
    reference_id    text NOT NULL,
    owner           text COLLATE "C" NOT NULL,
    privacy         bigint NOT NULL,
    privacy_context text COLLATE "C" NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE UNIQUE INDEX kaltura_categories_by_name ON kaltura_categories (partner_id, full_name);

CREATE TABLE kaltura_category_entries (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    category  bigint NOT NULL,
    entry_id  text COLLATE "C" NOT NULL,
    full_ids  text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_category_entries_by_entry ON kaltura_category_entries (partner_id, entry_id);

CREATE TABLE kaltura_category_users (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    category   bigint NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    permission bigint NOT NULL,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_captions (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    entry_id   text COLLATE "C" NOT NULL,
    language   text NOT NULL,
    label      text NOT NULL,
    format     text NOT NULL,
    is_default boolean NOT NULL,
    status     bigint NOT NULL,
    file_ext   text NOT NULL,
    content    text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_captions_by_entry ON kaltura_captions (partner_id, entry_id);

-- The categories of an entry as it shows them, and for search.
ALTER TABLE kaltura_entries ADD COLUMN categories text NOT NULL DEFAULT '';
ALTER TABLE kaltura_entries ADD COLUMN category_ids text NOT NULL DEFAULT '';
ALTER TABLE kaltura_accounts ADD COLUMN entitlement boolean NOT NULL DEFAULT FALSE;
