"""A soak: the downloader against a server that fails at random, killed at random, on small disks."""
