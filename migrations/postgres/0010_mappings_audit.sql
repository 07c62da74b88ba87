-- The audit log of each hub becomes a chain: every record holds the hash of the one before. What was written before
-- is chained by the program, as part of this step. The content is hashed as it stands, so it is kept as text.
ALTER TABLE audit_records ALTER COLUMN data TYPE text USING data::text;
ALTER TABLE audit_records ADD COLUMN seq bigint NOT NULL DEFAULT 0;
ALTER TABLE audit_records ADD COLUMN client_id text NOT NULL DEFAULT '';
ALTER TABLE audit_records ADD COLUMN request_id text NOT NULL DEFAULT '';
ALTER TABLE audit_records ADD COLUMN prev text NOT NULL DEFAULT '';
ALTER TABLE audit_records ADD COLUMN hash text NOT NULL DEFAULT '';
CREATE UNIQUE INDEX audit_records_by_seq ON audit_records (hub_id, seq) WHERE seq > 0;
CREATE INDEX audit_records_by_subject ON audit_records (hub_id, subject);
CREATE INDEX audit_records_by_actor ON audit_records (hub_id, actor, seq);

-- Where each chain ends, and where it begins when older records were deleted. One row per hub, sealed with the
-- server's key; '' is the chain of the operators. It outlives the hub: no foreign key.
CREATE TABLE audit_heads (
    hub_id    text COLLATE "C" PRIMARY KEY,
    seq       bigint NOT NULL,
    hash      text NOT NULL,
    from_seq  bigint NOT NULL,
    from_hash text NOT NULL,
    seal      bytea
);

-- Since when a mapping names the user that it names.
ALTER TABLE mappings ADD COLUMN linked_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00:00';
UPDATE mappings SET linked_at = created_at;
CREATE INDEX mappings_by_state ON mappings (hub_id, state, id);

-- Long work on mappings: dry runs of a rule, and merging one platform user into another.
CREATE TABLE mapping_runs (
    id             text COLLATE "C" PRIMARY KEY,
    hub_id         text COLLATE "C" NOT NULL,
    version        bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    integration_id text COLLATE "C" NOT NULL,
    job_id         text COLLATE "C" NOT NULL,
    kind           text NOT NULL,
    state          text NOT NULL,
    rule           jsonb,
    mapping_id     text COLLATE "C" NOT NULL,
    from_user      text NOT NULL,
    to_user        text NOT NULL,
    undoing        boolean NOT NULL,
    listing        text NOT NULL,
    total          bigint NOT NULL,
    done           bigint NOT NULL,
    counts         jsonb,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (integration_id) REFERENCES integrations (id) ON DELETE CASCADE
);
CREATE INDEX mapping_runs_by_hub ON mapping_runs (hub_id, id);
CREATE INDEX mapping_runs_by_mapping ON mapping_runs (mapping_id, id);

-- One row per person of a dry run, or per entry of a merge. subject is the participant or the entry.
CREATE TABLE mapping_run_items (
    id         text COLLATE "C" PRIMARY KEY,
    hub_id     text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    run_id     text COLLATE "C" NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    outcome    text NOT NULL,
    user_id    text NOT NULL,
    detail     text NOT NULL,
    UNIQUE (run_id, subject),
    FOREIGN KEY (run_id) REFERENCES mapping_runs (id) ON DELETE CASCADE
);
CREATE INDEX mapping_run_items_by_run ON mapping_run_items (run_id, outcome, id);
