"""Talking to a Hub through `huggingface_hub`: addresses, tokens, requests and typed answers.

Everything that reads or writes a Hub goes through the class `Hub`. It returns validated data and
raises errors of this package: always EnvironmentProblem if the Hub cannot be reached or refuses,
and others as documented. Plans and pushes are in `nla_release.hub`, which uses this package.
"""
