"""The names of the diagnostics: in release.yaml, in run.json, and of their modules."""

# By their names in release.yaml, in the order in which they run and are shown. The module has the
# same name, with underscores.
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
