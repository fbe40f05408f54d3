"""One server for many rewards, in the dialects of the clients that people already have."""
