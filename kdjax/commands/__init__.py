"""One file per subcommand; each has `main(argv) -> exit code`."""
