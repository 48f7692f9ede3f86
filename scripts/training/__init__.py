"""How the mini models were made: the data set, the VQGAN and the CLIP.  Not part of the installed package."""
