-- The embedded Kaltura-compatible platform. Rows belong to an account (partner) and are known by their id in it.

CREATE TABLE kaltura_accounts (
    partner_id   integer NOT NULL,
    id           text NOT NULL,
    version      integer NOT NULL,
    created_at   timestamp NOT NULL,
    updated_at   timestamp NOT NULL,
    hub_id       text NOT NULL,
    name         text NOT NULL,
    admin_email  text NOT NULL,
    admin_secret blob,
    user_secret  blob,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_users (
    partner_id        integer NOT NULL,
    id                text NOT NULL,
    version           integer NOT NULL,
    created_at        timestamp NOT NULL,
    updated_at        timestamp NOT NULL,
    email             text NOT NULL,
    first_name        text NOT NULL,
    last_name         text NOT NULL,
    screen_name       text NOT NULL,
    status            integer NOT NULL,
    is_admin          boolean NOT NULL,
    is_guest          boolean NOT NULL,
    is_owner          boolean NOT NULL,
    login_enabled     boolean NOT NULL,
    password          blob,
    profile           text,
    status_updated_at timestamp NOT NULL,
    deleted_at        timestamp,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_users_by_email ON kaltura_users (email);

CREATE TABLE kaltura_sessions (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    uses       integer NOT NULL,
    ended_at   timestamp,
    expires_at timestamp NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_sessions_by_expiry ON kaltura_sessions (expires_at);

CREATE TABLE kaltura_app_tokens (
    partner_id         integer NOT NULL,
    id                 text NOT NULL,
    version            integer NOT NULL,
    created_at         timestamp NOT NULL,
    updated_at         timestamp NOT NULL,
    token              blob,
    status             integer NOT NULL,
    expiry             integer,
    session_type       integer,
    session_user_id    text,
    session_duration   integer NOT NULL,
    session_privileges text,
    hash_type          text NOT NULL,
    description        text,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_upload_tokens (
    partner_id    integer NOT NULL,
    id            text NOT NULL,
    version       integer NOT NULL,
    created_at    timestamp NOT NULL,
    updated_at    timestamp NOT NULL,
    user_id       text NOT NULL,
    status        integer NOT NULL,
    file_name     text,
    file_size     integer,
    uploaded      integer,
    auto_finalize boolean NOT NULL,
    entry_id      text NOT NULL,
    asset_id      text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_upload_tokens_by_age ON kaltura_upload_tokens (updated_at);

CREATE TABLE kaltura_entries (
    partner_id         integer NOT NULL,
    id                 text NOT NULL,
    version            integer NOT NULL,
    created_at         timestamp NOT NULL,
    updated_at         timestamp NOT NULL,
    user_id            text NOT NULL,
    creator_id         text NOT NULL,
    name               text NOT NULL,
    description        text NOT NULL,
    tags               text NOT NULL,
    admin_tags         text NOT NULL,
    status             integer NOT NULL,
    media_type         integer NOT NULL,
    type               integer NOT NULL,
    source_type        text NOT NULL,
    reference_id       text NOT NULL,
    partner_data       text NOT NULL,
    access_control     integer NOT NULL,
    conversion_profile integer NOT NULL,
    duration_ms        integer NOT NULL,
    width              integer NOT NULL,
    height             integer NOT NULL,
    flavor_params      text NOT NULL,
    thumb_version      integer NOT NULL,
    asset_id           text NOT NULL,
    generations        text,
    terms_name         text NOT NULL,
    terms_tags         text NOT NULL,
    terms_description  text NOT NULL,
    terms_all          text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
-- Addresses of playback name an entry without an account that could be trusted.
CREATE INDEX kaltura_entries_by_id ON kaltura_entries (id);
CREATE INDEX kaltura_entries_by_age ON kaltura_entries (partner_id, created_at);
CREATE INDEX kaltura_entries_by_owner ON kaltura_entries (partner_id, user_id, created_at);
CREATE INDEX kaltura_entries_by_reference ON kaltura_entries (partner_id, reference_id);

CREATE TABLE kaltura_flavors (
    partner_id integer NOT NULL,
    id         text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    entry_id   text NOT NULL,
    params     integer NOT NULL,
    status     integer NOT NULL,
    blob       text NOT NULL,
    size       integer NOT NULL,
    width      integer NOT NULL,
    height     integer NOT NULL,
    bitrate    integer NOT NULL,
    frame_rate real NOT NULL,
    file_ext   text NOT NULL,
    container  text NOT NULL,
    codec      text NOT NULL,
    codecs     text NOT NULL,
    tags       text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_flavors_by_entry ON kaltura_flavors (partner_id, entry_id);

CREATE TABLE kaltura_access_controls (
    partner_id     integer NOT NULL,
    id             text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    name           text NOT NULL,
    system_name    text NOT NULL,
    description    text NOT NULL,
    is_default     boolean NOT NULL,
    session_needed boolean NOT NULL,
    PRIMARY KEY (partner_id, id)
);
