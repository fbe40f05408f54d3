"""A reward inside other frameworks: a file each, and the framework is imported there alone."""
