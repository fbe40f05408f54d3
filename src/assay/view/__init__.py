"""Pages to look at scores and to give judgements."""
