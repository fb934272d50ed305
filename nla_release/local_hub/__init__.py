"""An embedded Hub on 127.0.0.1: the part of the Hugging Face Hub that serves model repositories.

The real `huggingface_hub` client talks to it over HTTP, so a rehearsed push takes the same path as
a real one, down to the status codes. A request comes in through `server` and `app`, which find its
route; the route reads or changes repositories in the `store`, a folder on disk. Every change is
synced to the disk before it is answered, so the store survives a kill at any moment.
docs/reference/local-hub.md lists what is supported and what is not.
"""
