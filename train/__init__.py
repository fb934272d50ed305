"""The training chain: from text to a measured pair, step by step.

    python -m train.extract RECIPE    text -> data/base.parquet: activations
    python -m train.split RECIPE      -> data/split/: activations of each side, by document
    python -m train.label RECIPE      -> data/labels/: their explanations
    python -m train.build RECIPE      -> data/av_sft.parquet, data/ar_sft.parquet, data/eval.parquet
    python -m train.av RECIPE         rows -> pair/av
    python -m train.ar RECIPE         rows -> pair/ar
    python -m train.eval RECIPE       checkpoints -> trajectory.jsonl, trajectory.md
    python -m train.run RECIPE        all of it; what is done is skipped

* `recipe` is the one YAML file that drives all of them; `settings` its blocks `av`, `ar`, `eval`.
* `record` is how a step knows what is done, and refuses what is not this recipe's; `identity` tells
  which base lies in a folder.
* `sources`, `corpus` and `positions` are text, `chunks` an extraction under way.
* `tables`, `sidecars` and `dataset` are rows on disk, `prompts` and `checks` what they say.
* `labelling` asks a model for explanations.
* `adapter` puts a LoRA on the base; `gates` are what is checked before, `tripwire` what while.
* `loop` is the optimisation both adapters share, `checkpoints` what a killed one goes on from.
* `plan` tells what memory a training takes.
* `tiny` makes the small base of the tests and the demo.

`train` uses `nla_release`; nothing in `nla_release` imports `train`.
"""
