"""The training chain: text to activations, activations to an AV and an AR.

    python -m train.extract RECIPE    text -> data/train.parquet, data/eval.parquet
    python -m train.av RECIPE         rows -> pair/av
    python -m train.ar RECIPE         rows -> pair/ar

* `recipe` is the one YAML file that drives all three.
* `corpus` reads documents and splits them; `dataset` is the rows on disk.
* `adapter` puts a fresh LoRA on the base and saves it with its sidecar.
* `loop` is the optimisation both adapters share.
* `tiny` makes the small base of the tests and the demo.

`train` uses `nla_release`; nothing in `nla_release` imports `train`.
"""
