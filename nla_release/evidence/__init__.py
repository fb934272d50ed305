"""The recorded rows, vectors and settings of a measurement, and samples of the training data.

`roundtrip` writes them and `calibrate` computes every number from them alone. The records, the
controls and the log of runs are defined here; `nla_release.calibration.evidence_folder` reads and
writes the folder.
"""
