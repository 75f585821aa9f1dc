DROP TABLE queue_admissions;
DROP FUNCTION queue_admissions_only_grow();
DROP TABLE waiting_rooms;
