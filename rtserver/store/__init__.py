"""What survives a restart: the webhook outbox, and which lives of which nodes wrote it."""
