"""A Supplier's adapter that answers every pilot plan with hubs of its own choice, from a CSV file."""
