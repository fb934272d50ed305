"""Renderings: one object, shown in the way that its reader needs, by pure functions."""
