-- What few hubs need: a category, entitlement, a conversion profile, a second App Token for playback only.
ALTER TABLE integrations ADD COLUMN category_id integer NOT NULL DEFAULT 0;
ALTER TABLE integrations ADD COLUMN entitlement text NOT NULL DEFAULT '';
ALTER TABLE integrations ADD COLUMN privacy_context text NOT NULL DEFAULT '';
ALTER TABLE integrations ADD COLUMN conversion_profile_id integer NOT NULL DEFAULT 0;
ALTER TABLE integrations ADD COLUMN player_token_id text NOT NULL DEFAULT '';
ALTER TABLE integrations ADD COLUMN player_token blob;
ALTER TABLE integrations ADD COLUMN player_last4 text NOT NULL DEFAULT '';
ALTER TABLE integrations ADD COLUMN player_hash_type text NOT NULL DEFAULT '';
