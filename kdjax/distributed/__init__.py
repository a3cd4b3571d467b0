"""JAX's runtime: start, clusters, collectives, devices."""
