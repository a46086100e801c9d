"""`voicetune sweep`: trainings with many values of some parameters, each of them an ordinary DVC experiment."""
