"""What the topics tell: one prompt's story, the audit of all, and dead letters."""
