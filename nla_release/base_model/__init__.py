"""The base model from the outside: what `base.json` says of it, and how that is measured.

`facts` is the record; `cache` keeps it beside release.yaml; `measure` makes it from the headers
and a sample of embedding rows that `checkpoint` finds and `source` fetches, from a folder, the
client's cache or the Hub. Nothing here loads a model.
"""
