"""Explanations for texts, written by a model behind an endpoint.

A recipe's prompts and a text go in; an explanation comes out, or the reason why there is none.
Answers are cached, the cost is estimated beforehand and counted afterwards.
"""
