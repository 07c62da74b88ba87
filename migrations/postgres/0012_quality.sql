-- Idempotency-Keys with their answers, rate limits that all replicas share, and of webhooks: two secrets during a
-- rotation, what the receiver answered, which event a
-- delivery is about, and who makes an attempt just now.
CREATE TABLE idempotency_keys (
    id          text COLLATE "C" PRIMARY KEY,
    hub_id      text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    fingerprint bytea NOT NULL,
    owner       text NOT NULL,
    state       text NOT NULL,
    busy_until  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    status      bigint NOT NULL,
    header      jsonb,
    answer      bytea
);
CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at);

CREATE TABLE rate_limits (
    id     text COLLATE "C" PRIMARY KEY,
    due_us bigint NOT NULL
);
CREATE INDEX rate_limits_by_due ON rate_limits (due_us);

ALTER TABLE events ADD COLUMN id text COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE webhook_endpoints ADD COLUMN old_secret bytea;
ALTER TABLE webhook_endpoints ADD COLUMN old_secret_until timestamptz;
ALTER TABLE webhook_deliveries ADD COLUMN event_id text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE webhook_deliveries ADD COLUMN busy_by text NOT NULL DEFAULT '';
ALTER TABLE webhook_deliveries ADD COLUMN busy_until timestamptz;
ALTER TABLE webhook_deliveries ADD COLUMN excerpt text NOT NULL DEFAULT '';
ALTER TABLE webhook_deliveries ADD COLUMN duration_ms bigint NOT NULL DEFAULT 0;
CREATE INDEX webhook_deliveries_by_event ON webhook_deliveries (endpoint_id, event_id);
