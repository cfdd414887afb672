"""The command line. Data goes to stdout, narration to stderr; every command lives in a module of its own."""
