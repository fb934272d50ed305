"""From what a run left behind to numbers, each with its control. Needs neither torch nor a network.

What a run leaves:

* `records` are the typed contents of the folder `evidence/`: a row per activation, and the run.
* `vectors` are its tensors, and `evidence` reads and writes the folder: rows a person can read,
  vectors, and the run's settings with the hashes that bind the three together. `parts` holds the
  three, `fit` refuses what does not add up.
* `texts` makes the texts that diagnostics give to the AR: gibberish, other orders, claims;
  `shuffle` says which row's explanation stands in for another's.

What follows from it:

* `statistics` and `tfidf` hold the formulas as functions of arrays, and know nothing of files.
* `blocks` are what reports are built of, `measures` makes them, and `enough` says when there is too
  little to make one of.
* `controls` are what stands beside the real reconstruction, and what a failed one scores.
* `contamination` and `multiplicity` are what else must be known; `nla_release.diagnostics` has
  the optional measurements.
* `report` is the shape of `calibration.json`, a description on every field.
* `label` turns the deciding numbers into one word and one sentence.
* `calibrate` joins them: evidence in, report out, the same bytes every time.
* `compare` takes several releases on the rows that they have in common; `comparison` is its shape,
  `measured` reads a release, `settings` what it depends on, and `versions` sets them side by side.

Two decisions run through all of it. A row whose text failed stays in every denominator, at cosine 0
(mse 2): dropping it would flatter the pair that fails most. And an interval takes documents whole,
not rows, because positions of one document are not independent observations; with fewer than five
documents there is no interval, and the report says null.
"""
