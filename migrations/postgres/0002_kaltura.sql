-- The embedded Kaltura-compatible platform. Rows belong to an account (partner) and are known by their id in it.

CREATE TABLE kaltura_accounts (
    partner_id   bigint NOT NULL,
    id           text COLLATE "C" NOT NULL,
    version      bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    hub_id       text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    admin_email  text NOT NULL,
    admin_secret bytea,
    user_secret  bytea,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_users (
    partner_id        bigint NOT NULL,
    id                text COLLATE "C" NOT NULL,
    version           bigint NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    email             text NOT NULL,
    first_name        text NOT NULL,
    last_name         text NOT NULL,
    screen_name       text NOT NULL,
    status            bigint NOT NULL,
    is_admin          boolean NOT NULL,
    is_guest          boolean NOT NULL,
    is_owner          boolean NOT NULL,
    login_enabled     boolean NOT NULL,
    password          bytea,
    profile           jsonb,
    status_updated_at timestamptz NOT NULL,
    deleted_at        timestamptz,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_users_by_email ON kaltura_users (email);

CREATE TABLE kaltura_sessions (
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    uses       bigint NOT NULL,
    ended_at   timestamptz,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_sessions_by_expiry ON kaltura_sessions (expires_at);

CREATE TABLE kaltura_app_tokens (
    partner_id         bigint NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    version            bigint NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    token              bytea,
    status             bigint NOT NULL,
    expiry             bigint,
    session_type       bigint,
    session_user_id    text COLLATE "C",
    session_duration   bigint NOT NULL,
    session_privileges text,
    hash_type          text NOT NULL,
    description        text,
    PRIMARY KEY (partner_id, id)
);

CREATE TABLE kaltura_upload_tokens (
    partner_id    bigint NOT NULL,
    id            text COLLATE "C" NOT NULL,
    version       bigint NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    status        bigint NOT NULL,
    file_name     text,
    file_size     bigint,
    uploaded      bigint,
    auto_finalize boolean NOT NULL,
    entry_id      text COLLATE "C" NOT NULL,
    asset_id      text COLLATE "C" NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_upload_tokens_by_age ON kaltura_upload_tokens (updated_at);

CREATE TABLE kaltura_entries (
    partner_id         bigint NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    version            bigint NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    user_id            text COLLATE "C" NOT NULL,
    creator_id         text COLLATE "C" NOT NULL,
    name               text COLLATE "C" NOT NULL,
    description        text NOT NULL,
    tags               text NOT NULL,
    admin_tags         text NOT NULL,
    status             bigint NOT NULL,
    media_type         bigint NOT NULL,
    type               bigint NOT NULL,
    source_type        text NOT NULL,
    reference_id       text COLLATE "C" NOT NULL,
    partner_data       text NOT NULL,
    access_control     bigint NOT NULL,
    conversion_profile bigint NOT NULL,
    duration_ms        bigint NOT NULL,
    width              bigint NOT NULL,
    height             bigint NOT NULL,
    flavor_params      text NOT NULL,
    thumb_version      bigint NOT NULL,
    asset_id           text COLLATE "C" NOT NULL,
    generations        jsonb,
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
    partner_id bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    entry_id   text COLLATE "C" NOT NULL,
    params     bigint NOT NULL,
    status     bigint NOT NULL,
    blob       text NOT NULL,
    size       bigint NOT NULL,
    width      bigint NOT NULL,
    height     bigint NOT NULL,
    bitrate    bigint NOT NULL,
    frame_rate double precision NOT NULL,
    file_ext   text NOT NULL,
    container  text NOT NULL,
    codec      text NOT NULL,
    codecs     text NOT NULL,
    tags       text NOT NULL,
    PRIMARY KEY (partner_id, id)
);
CREATE INDEX kaltura_flavors_by_entry ON kaltura_flavors (partner_id, entry_id);

CREATE TABLE kaltura_access_controls (
    partner_id     bigint NOT NULL,
    id             text COLLATE "C" NOT NULL,
    version        bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    name           text COLLATE "C" NOT NULL,
    system_name    text NOT NULL,
    description    text NOT NULL,
    is_default     boolean NOT NULL,
    session_needed boolean NOT NULL,
    PRIMARY KEY (partner_id, id)
);
