"""Facts of the base model, which `base.json` records, and how they are measured.

`facts` is the record. `measure` makes it from headers and a sample of embedding rows, and keeps it
next to release.yaml. `source` finds their bytes in a folder, the client's cache or the Hub. Nothing
here loads a model.
"""
