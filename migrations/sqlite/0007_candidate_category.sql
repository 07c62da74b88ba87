-- In which category an entry that looks spherical lies: a hub that is limited to one is shown no others.
ALTER TABLE spherical_candidates ADD COLUMN category_id integer NOT NULL DEFAULT 0;
