"""What a training will ask of its devices, told by the compiler before it runs."""
