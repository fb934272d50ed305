"""From what a run left behind to numbers, each with its control. Needs neither torch nor a network.

* `records` are the typed contents of the folder `evidence/`: a row per activation, and the run.
* `evidence` reads and writes the folder: rows a person can read, vectors, and the run's settings
  with the hashes that bind the three together. It refuses what does not add up.
* `statistics` holds the formulas as functions of arrays, and knows nothing of files.
* `report` is the shape of `calibration.json`, a description on every field.
* `label` turns the deciding numbers into one word and one sentence.
* `calibrate` joins them: evidence in, report out, the same bytes every time.

Two decisions run through all of it. A row whose text failed stays in every denominator, at cosine 0
(mse 2): dropping it would flatter the pair that fails most. And an interval resamples documents,
not rows, because positions of one document are not independent observations; with fewer than two
documents there is no interval, and the report says null.
"""
