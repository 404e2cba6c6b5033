"""The page: live pictures, strangers to sort, people, sightings and the system, in a browser."""
