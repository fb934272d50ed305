"""The contract between trainer and reader of a pair: sidecar, prompt, injection, explanation.

It turns `nla_meta.yaml` and the tokenizer's files into typed facts, and checks that a prompt holds
exactly one marker between its recorded neighbours. It needs no torch.
"""
