"""Looking after what is on this disk: verify, repair, delete and adopt models, and tend caches."""
