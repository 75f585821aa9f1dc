DROP TABLE erasure_services, erasures;
