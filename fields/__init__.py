"""What a field is: an architecture that maps points to features, under a head that gives them meaning."""
