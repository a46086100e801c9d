"""`voicetune compare`: the results of several revisions on one page, read without a checkout."""
