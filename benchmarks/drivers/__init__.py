"""Small programs that the benchmarks start; each stands alone, in the environment of what it drives."""
