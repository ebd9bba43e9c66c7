"""The steps of the example that moves orders from a CSV file into a JSON file."""
