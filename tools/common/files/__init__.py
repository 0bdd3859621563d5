"""Files on this machine: which names are safe, reading and writing them, and bytes in flight."""
