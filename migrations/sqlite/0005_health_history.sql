-- Health of connections with its history, what uploads wait for, webhooks.

ALTER TABLE integrations ADD COLUMN health_since timestamp NOT NULL DEFAULT '1970-01-01 00:00:00+00:00';
ALTER TABLE integrations ADD COLUMN last_ok_at timestamp;
ALTER TABLE integrations ADD COLUMN next_try_at timestamp;
UPDATE integrations SET health_since = health_at;
UPDATE integrations SET last_ok_at = health_at WHERE health = 'ok';

CREATE TABLE health_changes (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    integration_id text NOT NULL,
    state          text NOT NULL,
    text           text NOT NULL,
    since          timestamp NOT NULL,
    until          timestamp,
    FOREIGN KEY (integration_id) REFERENCES integrations (id) ON DELETE CASCADE
);
CREATE INDEX health_changes_by_integration ON health_changes (integration_id, since, id);

-- A history begins with how things are, so that a connection that was sick before is asked again. The
-- id sorts before all those of later changes.
INSERT INTO health_changes (id, hub_id, version, created_at, updated_at, integration_id, state, text, since)
SELECT 'hch_00' || substr(id, 5), hub_id, 1, health_at, health_at, id, health, health_text, health_at FROM integrations;

ALTER TABLE uploads ADD COLUMN waiting_since timestamp;
ALTER TABLE uploads ADD COLUMN last_try_at timestamp;
ALTER TABLE uploads ADD COLUMN next_try_at timestamp;

CREATE TABLE webhook_endpoints (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    url            text NOT NULL,
    description    text NOT NULL,
    events         text,
    secret         blob,
    state          text NOT NULL,
    reason         text NOT NULL,
    failing_since  timestamp,
    last_at        timestamp,
    last_status    integer NOT NULL,
    last_text      text NOT NULL,
    FOREIGN KEY (hub_id) REFERENCES hubs (id) ON DELETE CASCADE
);
CREATE INDEX webhook_endpoints_by_hub ON webhook_endpoints (hub_id, id);

CREATE TABLE webhook_deliveries (
    id             text PRIMARY KEY NOT NULL,
    hub_id         text NOT NULL,
    version        integer NOT NULL,
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL,
    endpoint_id    text NOT NULL,
    event_type     text NOT NULL,
    body           text NOT NULL,
    state          text NOT NULL,
    attempts       integer NOT NULL,
    status         integer NOT NULL,
    text           text NOT NULL,
    next_try_at    timestamp,
    last_try_at    timestamp,
    FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoints (id) ON DELETE CASCADE
);
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at);
