"""Talking to a Hub through `huggingface_hub`: addresses, tokens, requests and typed answers.

Everything that reads or writes a Hub goes through the class `Hub`. It returns
validated data and raises errors of this package, with a hint. Plans and pushes are above it, in
`nla_release.hub`.
"""
