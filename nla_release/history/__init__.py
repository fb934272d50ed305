"""What happened to a release after it was published: the log, evidence updates, retractions.

HISTORY.md is append-only: entries come from releases, from fragment files and from evidence
updates. An evidence update adds measurements of a published version and keeps the numbers that it
supersedes. Every card shows what was retracted or superseded, with a link to the entry.
"""
