"""bin/toy_cma_es: CMA-ES on the shifted Schaffer function."""
