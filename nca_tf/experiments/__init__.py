"""One module per result: a frozen `Config` and `run(config)`."""
