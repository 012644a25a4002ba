"""How streams reach us: records of Kafka, notifications and rows of PostgreSQL."""
