"""Explanations for texts, written by a model behind an endpoint, or brought along by the corpus.

* `prompts` fills a recipe's prompts with a text; `answers` reads what came back, strictly.
* `cache` keeps every answer in a file named by the hash of its request.
* `endpoint` asks: within its limits, again after faults, never twice for what was answered.
* `passes` is the labeller and the auditor, one text after the other.
* `estimate` says beforehand what it may cost, `tally` afterwards what it did.
* `rows` is what all this leaves on disk.
"""
