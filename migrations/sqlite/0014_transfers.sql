-- Batches of uploads that are sent with one ticket, and the bandwidth that a hub gives them.
CREATE TABLE transfers (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    participant_id text NOT NULL,
    client_id      text NOT NULL,
    state          text NOT NULL,
    policy         text NOT NULL,
    rate_bps       integer NOT NULL,
    first          text NOT NULL,
    device         text NOT NULL,
    live_by        text NOT NULL,
    live_at        timestamp,
    live           text,
    ended_at       timestamp,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX transfers_by_hub ON transfers (hub_id, id);
CREATE INDEX transfers_by_participant ON transfers (hub_id, participant_id, id);

ALTER TABLE uploads ADD COLUMN transfer_id text NOT NULL DEFAULT '';
CREATE INDEX uploads_by_transfer ON uploads (transfer_id, state, id);

-- Its id is the hub's. A hub without a row has no cap.
CREATE TABLE transfer_accounts (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    cap_bps        integer NOT NULL,
    max_rate_bps   integer NOT NULL,
    default_policy text NOT NULL,
    policies       text,
    schedule       text,
    time_zone      text NOT NULL,
    weights        text,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);

-- What the sessions of a replica want of a hub's cap; a row that is a few seconds old counts for nothing.
CREATE TABLE transfer_shares (
    hub_id  text NOT NULL,
    replica text NOT NULL,
    at      timestamp NOT NULL,
    wishes  text NOT NULL,
    PRIMARY KEY (hub_id, replica),
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
