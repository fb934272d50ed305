"""The names of the diagnostics, in release.yaml and run.json."""

# In the order in which they run and are shown. The module of each has its name, with underscores.
DIAGNOSTICS: tuple[str, ...] = (
    "text-controls",
    "injection",
    "text-retrieval",
    "claims",
    "paraphrase",
    "discrimination",
    "retrieval",
    "templates",
    "ceiling",
    "structural",
)
