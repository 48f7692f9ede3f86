"""The loop as the VQGAN+CLIP programs before this one write it, to measure against: simple, in fp32, one graph.

It is written anew and shares nothing with vqclip but the files of weights, so that what makes vqclip faster can't make
it faster too. Of vqclip it imports only what finds and reads those files.
"""
