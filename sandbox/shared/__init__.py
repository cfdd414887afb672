"""What several processes share through a Redis server, and the one connection to it."""
