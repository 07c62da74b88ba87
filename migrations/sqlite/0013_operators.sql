-- The people who run the installation, the code that makes the first one, and what they decide about hubs.

-- hub_id is empty: operators belong to no hub.
CREATE TABLE operators (
    id         text PRIMARY KEY NOT NULL,
    hub_id     text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    issuer     text NOT NULL,
    subject    text NOT NULL,
    name       text NOT NULL,
    added_by   text NOT NULL,
    UNIQUE (issuer, subject)
);

-- One row at most.
CREATE TABLE setups (
    id         text PRIMARY KEY NOT NULL CHECK (id = 'setup'),
    hub_id     text NOT NULL,
    version    integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    code_hash  text NOT NULL,
    expires_at timestamp NOT NULL,
    used_at    timestamp
);

-- The plan is the operator's, else the identity provider's. What is known now came from the provider.
ALTER TABLE hubs ADD COLUMN provider_plan text NOT NULL DEFAULT '';
ALTER TABLE hubs ADD COLUMN operator_plan text NOT NULL DEFAULT '';
UPDATE hubs SET provider_plan = plan;

-- A replaced secret works until then.
ALTER TABLE clients ADD COLUMN old_secret_hash blob;
ALTER TABLE clients ADD COLUMN old_secret_until timestamp;
