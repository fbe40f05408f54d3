"""Figures on real public data: each reward against a floor that is fitted and judged on the same split."""
