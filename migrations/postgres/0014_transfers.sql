-- Batches of uploads that are sent with one ticket, and the bandwidth that a hub gives them.
CREATE TABLE transfers (
    id             text COLLATE "C" PRIMARY KEY,
    hub_id         text COLLATE "C" NOT NULL,
    version        bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    participant_id text NOT NULL,
    client_id      text NOT NULL,
    state          text NOT NULL,
    policy         text NOT NULL,
    rate_bps       bigint NOT NULL,
    first          text NOT NULL,
    device         text NOT NULL,
    live_by        text NOT NULL,
    live_at        timestamptz,
    live           jsonb,
    ended_at       timestamptz,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX transfers_by_hub ON transfers (hub_id, id);
CREATE INDEX transfers_by_participant ON transfers (hub_id, participant_id, id);

ALTER TABLE uploads ADD COLUMN transfer_id text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX uploads_by_transfer ON uploads (transfer_id, state, id);

-- Its id is the hub's. A hub without a row has no cap.
CREATE TABLE transfer_accounts (
    id             text COLLATE "C" PRIMARY KEY,
    hub_id         text COLLATE "C" NOT NULL,
    version        bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    cap_bps        bigint NOT NULL,
    max_rate_bps   bigint NOT NULL,
    default_policy text NOT NULL,
    policies       jsonb,
    schedule       jsonb,
    time_zone      text NOT NULL,
    weights        jsonb,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);

-- What the sessions of a replica want of a hub's cap; a row that is a few seconds old counts for nothing.
CREATE TABLE transfer_shares (
    hub_id  text COLLATE "C" NOT NULL,
    replica text NOT NULL,
    at      timestamptz NOT NULL,
    wishes  jsonb NOT NULL,
    PRIMARY KEY (hub_id, replica),
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
