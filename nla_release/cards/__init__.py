"""Both repositories of a release, computed: cards, figures, history, manifest.

* `inputs` reads the pair, its evidence and its calibration, and refuses what does not belong.
* `sentences` says in plain words what the numbers allow to be said.
* `blocks` are the generated parts of a card, the same whenever the calibration is the same, between
  markers by which a check finds them again.
* `environment` is the sandbox that templates and hand-written notes are rendered in; `markdown`
  makes text that strangers wrote harmless there.
* `front_matter`, `snippet`, `examples`, `figures`, `references`, `notes`, `waivers` and `history`
  make one part of a document each; `context` gathers what templates are given.
* `render` puts it all into `dist/`, whole or not at all.

Nothing here asks the clock or the network: the same inputs give the same bytes.
"""
