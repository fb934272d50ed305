"""Publishing a pair to the Hugging Face Hub, and a small Hub of our own to rehearse on.

`loopback` is that Hub: it speaks enough of the real one's HTTP protocol that the real client
cannot tell the difference for what a release does. Nothing else here depends on it.
"""
