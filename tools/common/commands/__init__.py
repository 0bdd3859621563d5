"""One module per tool; only these, and what they report with, print and choose an exit status."""
