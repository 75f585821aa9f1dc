DROP TABLE used_proofs, oauth_states, action_codes, identities;
ALTER TABLE users DROP COLUMN email_verified_at;
