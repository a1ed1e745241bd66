"""What is done with speech that has come: kept whole, cut into frames, written as captions, drawn."""
