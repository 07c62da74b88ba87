-- Idempotency-Keys with their answers, rate limits that all replicas share, and of webhooks: two secrets during a
-- rotation, what the receiver answered, which event a
-- delivery is about, and who makes an attempt just now.
CREATE TABLE idempotency_keys (
    id          text PRIMARY KEY NOT NULL,
    hub_id      text NOT NULL,
    version     integer NOT NULL,
    created_at  timestamp NOT NULL,
    updated_at  timestamp NOT NULL,
    fingerprint blob NOT NULL,
    owner       text NOT NULL,
    state       text NOT NULL,
    busy_until  timestamp NOT NULL,
    expires_at  timestamp NOT NULL,
    status      integer NOT NULL,
    header      text,
    answer      blob
);
CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at);

CREATE TABLE rate_limits (
    id     text PRIMARY KEY NOT NULL,
    due_us integer NOT NULL
);
CREATE INDEX rate_limits_by_due ON rate_limits (due_us);

ALTER TABLE events ADD COLUMN id text NOT NULL DEFAULT '';

ALTER TABLE webhook_endpoints ADD COLUMN old_secret blob;
ALTER TABLE webhook_endpoints ADD COLUMN old_secret_until timestamp;
ALTER TABLE webhook_deliveries ADD COLUMN event_id text NOT NULL DEFAULT '';
ALTER TABLE webhook_deliveries ADD COLUMN busy_by text NOT NULL DEFAULT '';
ALTER TABLE webhook_deliveries ADD COLUMN busy_until timestamp;
ALTER TABLE webhook_deliveries ADD COLUMN excerpt text NOT NULL DEFAULT '';
ALTER TABLE webhook_deliveries ADD COLUMN duration_ms integer NOT NULL DEFAULT 0;
CREATE INDEX webhook_deliveries_by_event ON webhook_deliveries (endpoint_id, event_id);
