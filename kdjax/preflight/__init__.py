"""What a training will take of its devices, from the compiler, before it runs."""
