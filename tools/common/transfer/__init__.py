"""One file home: found, copied or fetched, verified, and given its name."""
