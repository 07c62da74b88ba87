-- The audit log of each hub becomes a chain: every record holds the hash of the one before. What was written before
-- is chained by the program, as part of this step. The content is hashed as it stands, so it is kept as text.
ALTER TABLE audit_records ADD COLUMN seq integer NOT NULL DEFAULT 0;
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
    hub_id    text PRIMARY KEY NOT NULL,
    seq       integer NOT NULL,
    hash      text NOT NULL,
    from_seq  integer NOT NULL,
    from_hash text NOT NULL,
    seal      blob
);

-- Since when a mapping names the user that it names.
ALTER TABLE mappings ADD COLUMN linked_at timestamp NOT NULL DEFAULT '1970-01-01 00:00:00+00:00';
UPDATE mappings SET linked_at = created_at;
CREATE INDEX mappings_by_state ON mappings (hub_id, state, id);

-- Long work on mappings: dry runs of a rule, and merging one platform user into another.
CREATE TABLE mapping_runs (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    integration_id text NOT NULL,
    job_id         text NOT NULL,
    kind           text NOT NULL,
    state          text NOT NULL,
    rule           text,
    mapping_id     text NOT NULL,
    from_user      text NOT NULL,
    to_user        text NOT NULL,
    undoing        boolean NOT NULL,
    listing        text NOT NULL,
    total          integer NOT NULL,
    done           integer NOT NULL,
    counts         text,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE,
    FOREIGN KEY (integration_id) REFERENCES integrations (id) ON DELETE CASCADE
);
CREATE INDEX mapping_runs_by_hub ON mapping_runs (hub_id, id);
CREATE INDEX mapping_runs_by_mapping ON mapping_runs (mapping_id, id);

-- One row per person of a dry run, or per entry of a merge. subject is the participant or the entry.
CREATE TABLE mapping_run_items (
    id         text PRIMARY KEY NOT NULL,
    hub_id     text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    run_id     text NOT NULL,
    subject    text NOT NULL,
    outcome    text NOT NULL,
    user_id    text NOT NULL,
    detail     text NOT NULL,
    UNIQUE (run_id, subject),
    FOREIGN KEY (run_id) REFERENCES mapping_runs (id) ON DELETE CASCADE
);
CREATE INDEX mapping_run_items_by_run ON mapping_run_items (run_id, outcome, id);
