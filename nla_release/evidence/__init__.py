"""What a measurement leaves behind: rows, vectors, the run, and what was trained on."""
