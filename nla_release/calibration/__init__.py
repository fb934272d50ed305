"""From evidence to numbers, each with its control. Needs neither torch nor a network.

Evidence goes in, `calibration.json` comes out: the same bytes for the same evidence. Comparisons of
several releases, and of published evidence with new measurements, are made here too.

Two decisions apply everywhere. A row whose explanation failed stays in every denominator, at cosine
0 (mse 2): dropping it would favour the pair that fails most. An interval treats the rows of one
document as dependent; with fewer than five documents there is no interval.
"""
