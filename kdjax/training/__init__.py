"""The train step and what surrounds it: state, objective, evaluation, the loop."""
