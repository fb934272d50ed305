"""The training library: from text to a measured pair, step by step. Needs the extra `train`.

`nla-release train STEP RECIPE` runs a step, `nla-release train run RECIPE` all of them:

    extract   text -> data/base.parquet: activations
    split     -> data/split/: activations of each side, by document
    label     -> data/labels/: their explanations
    build     -> data/av_sft.parquet, data/ar_sft.parquet, data/eval.parquet
    av        rows -> pair/av
    ar        rows -> pair/ar
    eval      checkpoints -> trajectory.jsonl, trajectory.md

* `recipe` is the one YAML file that drives all of them; `settings` its blocks `av`, `ar`, `eval`.
* `record` is how a step knows what is done, and refuses what does not belong to this recipe;
  `steps` decides from it what is still to do; `identity` says which base a folder holds.
* `corpus_files`, `corpus` and `positions` are text, `chunks` an extraction under way.
* `tables`, `data_sidecars` and `dataset` are rows on disk, `prompts` and `checks` what they say.
* `labelling` asks a model for explanations.
* `learner` puts a LoRA on the base; `gates` are checked before a training, `tripwire` during it.
* `adapter_training` is what both adapters share; `loop` the optimisation, `checkpoints` what a
  killed training continues from, `processes` one process or several.
* `plan` says what memory a training takes; `skeleton` writes the release.yaml of a trained pair.

The command line is `nla_release.cli.train`; nothing else in `nla_release` imports this package.
"""

from typing import Literal, get_args

StepName = Literal["extract", "split", "label", "build", "av", "ar", "eval"]
STEPS: tuple[StepName, ...] = get_args(StepName)
