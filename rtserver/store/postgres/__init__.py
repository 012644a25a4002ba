"""The store in a PostgreSQL database (12 or newer), which nodes on many machines share."""
