"""Runs: long jobs that can be killed at any instant and resumed with nothing lost, doubled or done again."""
