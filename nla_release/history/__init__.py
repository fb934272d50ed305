"""What happened to published versions: the log, retractions and new evidence."""
