"""Objectives: pure functions of tensors to a loss per item. They own no model; the training loop reduces.

The names of an objective's arguments say which feedback it needs: ``(chosen, rejected, ...)`` pairs,
``(scores, ranks, mask, ...)`` lists, ``(values, targets, ...)`` ratings. Further tensors (margin, probability, tie,
weight) travel by keyword and reach only the objectives that name them.
"""
