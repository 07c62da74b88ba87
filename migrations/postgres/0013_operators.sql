-- The people who run the installation, the code that makes the first one, and what they decide about hubs.

-- hub_id is empty: operators belong to no hub.
CREATE TABLE operators (
    id         text COLLATE "C" PRIMARY KEY,
    hub_id     text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    issuer     text NOT NULL,
    subject    text NOT NULL,
    name       text NOT NULL,
    added_by   text NOT NULL,
    UNIQUE (issuer, subject)
);

-- One row at most.
CREATE TABLE setups (
    id         text COLLATE "C" PRIMARY KEY CHECK (id = 'setup'),
    hub_id     text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    code_hash  text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

-- The plan is the operator's, else the identity provider's. What is known now came from the provider.
ALTER TABLE hubs ADD COLUMN provider_plan text NOT NULL DEFAULT '';
ALTER TABLE hubs ADD COLUMN operator_plan text NOT NULL DEFAULT '';
UPDATE hubs SET provider_plan = plan;

-- A replaced secret works until then.
ALTER TABLE clients ADD COLUMN old_secret_hash bytea;
ALTER TABLE clients ADD COLUMN old_secret_until timestamptz;
