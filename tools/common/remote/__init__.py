"""Sources from elsewhere: fetched, judged, put into the zoo folder, and used."""
