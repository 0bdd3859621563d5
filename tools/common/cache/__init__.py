"""The cache: files kept under their checksums, and what is known about them."""
