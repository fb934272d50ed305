"""Renderings: one object, shown as text or as JSON, by pure functions."""
