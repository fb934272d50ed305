"""What a Hub is asked and what it answers, through the real client."""
