"""Reading and writing: bounded readers of strangers' files, writers of whole files, progress."""
