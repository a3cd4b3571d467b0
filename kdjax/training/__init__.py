"""The train step and what surrounds it: state, objective, sharding, evaluation, the loop."""
