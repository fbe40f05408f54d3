"""The claims of published methods: each runs a method beside its baseline on a small world and checks the effect.

A module a method, named as its recipe, with ``claim(seeds, sabotage) -> Outcome``.
"""
