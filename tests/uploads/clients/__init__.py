"""Other people's clients, each as a program of its own that tells what it does in lines of JSON."""
