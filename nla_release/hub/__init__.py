"""Publish a pair to the Hugging Face Hub, verify it there, and retract it.

A rendered release and the state of both repositories on the Hub give a plan, as data. `push`
executes it step by step and can be run again after any failure. `verify` downloads a release by its
tag and runs the gate on it. `retract` marks a published version as retracted. All of them use
`nla_release.hub_client`, and raise EnvironmentProblem if the Hub cannot be reached.
"""
