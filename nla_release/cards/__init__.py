"""The two repositories of a release: model cards, calibration page, figures, manifest.

Input is the pair, its evidence and calibration, release.yaml with its notes, and the log in
HISTORY.md. Output is `dist/av` and `dist/ar`, written completely or not at all. `check` calls the
same functions to compare a published repository with what its files give. Nothing here reads the
clock or the network: the same inputs give the same bytes.
"""
