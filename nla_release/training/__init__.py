"""The training library: from text to a measured pair, step by step. Needs the extra `train`.

`nla-release train STEP RECIPE` runs a step, `nla-release train run RECIPE` all of them:

    extract   text -> data/base.parquet: activations
    split     -> data/split/: activations of each side, by document
    label     -> data/labels/: their explanations
    build     -> data/av_sft.parquet, data/ar_sft.parquet, data/eval.parquet
    av        rows -> pair/av
    ar        rows -> pair/ar
    eval      checkpoints -> trajectory.jsonl, trajectory.md

One YAML recipe drives all steps. Each step reads files of earlier steps, writes its own, and
records the settings and the hashes of both in `steps/`, so that an interrupted run continues and
files of another recipe are refused. The result is a pair in `pair/` and a `release.yaml`, from
which `nla-release roundtrip` continues.
"""

from typing import Literal, get_args

StepName = Literal["extract", "split", "label", "build", "av", "ar", "eval"]
STEPS: tuple[StepName, ...] = get_args(StepName)
