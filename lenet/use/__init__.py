"""What a trained model is good for: answers for pictures, and files for other programs."""
