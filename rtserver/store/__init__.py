"""What survives a restart: the webhook outbox, which lives of which nodes wrote it, and the users' inboxes."""
