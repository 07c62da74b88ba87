-- Places whose finished files become entries by themselves, their files, and what became of these.
CREATE TABLE drop_folders (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    participant_id text NOT NULL,
    client_id      text NOT NULL,
    integration_id text NOT NULL,
    name           text NOT NULL,
    name_key       text NOT NULL,
    description    text NOT NULL,
    paused_at      timestamp,
    deleted_at     timestamp,
    source         text NOT NULL,
    path           text NOT NULL,
    bucket         text,
    secret         blob,
    complete       text,
    handler        text NOT NULL,
    patterns       text,
    ignore         text,
    match          text NOT NULL,
    slug           text NOT NULL,
    origin         text,
    wait_hours     integer NOT NULL,
    delete_policy  text NOT NULL,
    delete_days    integer NOT NULL,
    max_files      integer NOT NULL,
    max_bytes      integer NOT NULL,
    policy         text NOT NULL,
    rate_bps       integer NOT NULL,
    app_id         text NOT NULL,
    health         text,
    scan_at        timestamp,
    scan_by        text NOT NULL,
    wake           boolean NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX drop_folders_by_name ON drop_folders (hub_id, name_key) WHERE deleted_at IS NULL;
CREATE INDEX drop_folders_by_hub ON drop_folders (hub_id, id);
CREATE INDEX drop_folders_by_source ON drop_folders (source, id) WHERE deleted_at IS NULL;
CREATE INDEX drop_folders_by_scan ON drop_folders (scan_at) WHERE deleted_at IS NULL AND paused_at IS NULL;
CREATE UNIQUE INDEX drop_folders_by_app ON drop_folders (app_id) WHERE app_id <> '';

CREATE TABLE drop_files (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    folder_id    text NOT NULL,
    name         text NOT NULL,
    name_key     text NOT NULL,
    size         integer NOT NULL,
    modified_at  timestamp,
    identity     text NOT NULL,
    manifest     boolean NOT NULL,
    state        text NOT NULL,
    former_state text NOT NULL,
    superseded   boolean NOT NULL,
    by_hand      boolean NOT NULL,
    alone        boolean NOT NULL,
    size_set_at  timestamp,
    whole_at     timestamp,
    waiting_for  text,
    lead_id      text NOT NULL,
    item_id      text NOT NULL,
    named_size   integer NOT NULL,
    reference_id text NOT NULL,
    flavor       text NOT NULL,
    user_id      text NOT NULL,
    profile_id   integer NOT NULL,
    upload_id    text NOT NULL,
    entry_id     text NOT NULL,
    sha256       text NOT NULL,
    attempt      integer NOT NULL,
    reason       text NOT NULL,
    text         text NOT NULL,
    next_step    text NOT NULL,
    kept         boolean NOT NULL,
    delete_entry boolean NOT NULL,
    deleting     boolean NOT NULL,
    ready_at     timestamp,
    delete_at    timestamp,
    try_at       timestamp,
    items        integer NOT NULL,
    items_done   integer NOT NULL,
    items_failed integer NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (folder_id) REFERENCES drop_folders (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE UNIQUE INDEX drop_files_live ON drop_files (folder_id, name_key) WHERE NOT superseded;
CREATE INDEX drop_files_former ON drop_files (folder_id, name_key, id) WHERE superseded;
CREATE INDEX drop_files_by_hub ON drop_files (hub_id, id);
CREATE INDEX drop_files_by_folder ON drop_files (folder_id, id);
CREATE INDEX drop_files_by_state ON drop_files (folder_id, state, id);
CREATE INDEX drop_files_pending ON drop_files (folder_id, id) WHERE state = 'pending';
CREATE INDEX drop_files_at_work ON drop_files (hub_id, folder_id) WHERE state = 'importing';
CREATE INDEX drop_files_by_lead ON drop_files (lead_id) WHERE lead_id <> '';
CREATE INDEX drop_files_by_upload ON drop_files (upload_id) WHERE upload_id <> '';
CREATE INDEX drop_files_by_reference ON drop_files (hub_id, reference_id) WHERE reference_id <> '';
CREATE INDEX drop_files_by_entry ON drop_files (hub_id, entry_id) WHERE entry_id <> '';
CREATE INDEX drop_files_by_try ON drop_files (folder_id, try_at, id) WHERE try_at IS NOT NULL;
CREATE INDEX drop_files_by_delete ON drop_files (folder_id, delete_at, id) WHERE delete_at IS NOT NULL;

CREATE TABLE drop_changes (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    folder_id text NOT NULL,
    file_id   text NOT NULL,
    state     text NOT NULL,
    cause     text NOT NULL,
    text      text NOT NULL,
    "by"      text NOT NULL,
    at        timestamp NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (file_id) REFERENCES drop_files (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX drop_changes_by_file ON drop_changes (file_id, id);
CREATE INDEX drop_changes_by_time ON drop_changes (at);

CREATE TABLE drop_items (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    folder_id    text NOT NULL,
    file_id      text NOT NULL,
    number       integer NOT NULL,
    line         integer NOT NULL,
    state        text NOT NULL,
    action       text NOT NULL,
    title        text NOT NULL,
    reference_id text NOT NULL,
    entry_id     text NOT NULL,
    step         text NOT NULL,
    data         blob,
    reason       text NOT NULL,
    text         text NOT NULL,
    next_step    text NOT NULL,
    attempt      integer NOT NULL,
    try_at       timestamp,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (file_id) REFERENCES drop_files (id) ON DELETE CASCADE
);
CREATE INDEX drop_items_by_reference ON drop_items (hub_id, reference_id, file_id, number) WHERE reference_id <> '';
CREATE INDEX drop_items_by_entry ON drop_items (hub_id, entry_id, file_id, number) WHERE entry_id <> '';
CREATE UNIQUE INDEX drop_items_by_file ON drop_items (file_id, number);
CREATE INDEX drop_items_by_state ON drop_items (file_id, state, number);
CREATE INDEX drop_items_open ON drop_items (file_id, number) WHERE state IN ('queued', 'running');
CREATE INDEX drop_items_by_try ON drop_items (try_at) WHERE try_at IS NOT NULL;
CREATE INDEX drop_items_failed ON drop_items (updated_at) WHERE state = 'failed' AND data IS NOT NULL;

-- The folder that an upload is for, and the file of it that it carries.
ALTER TABLE uploads ADD COLUMN folder_id text NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN drop_file_id text NOT NULL DEFAULT '';
-- The entry that gets the bytes as new content, the rendition of it, and how it is converted.
ALTER TABLE uploads ADD COLUMN replaces text NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN flavor text NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN profile_id integer NOT NULL DEFAULT 0;
CREATE INDEX uploads_by_folder ON uploads (folder_id, state, id) WHERE folder_id <> '';
