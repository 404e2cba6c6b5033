"""What is changed of people and sightings, by a command or by the page: each change wholly, with its audit lines."""
