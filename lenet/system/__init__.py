"""What is asked of the operating system: durable files and locks, signals, cores, the terminal."""
