"""The code of a source: consent to it, and the process in which it runs."""
