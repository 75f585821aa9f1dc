-- Where the pieces of a reply end in its text, sealed like the text: whoever reads on from a piece gets exactly the rest.
ALTER TABLE emotion_steps ADD COLUMN reply_ends_sealed bytea;
