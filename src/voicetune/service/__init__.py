"""`voicetune serve`: published voices behind an HTTP API that has the form of OpenAI's."""
