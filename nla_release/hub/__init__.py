"""Publishing a pair to the Hugging Face Hub, and a small Hub of our own to rehearse on.

* `place` reads how people write a place on the Hub, and brings files from there.
* `remote` is one repository on a Hub, through the real client.
* `plan` says what a push would do, `push` does it, `verify` downloads and judges the result.
* `card_metadata` and `licenses` are what the Hub accepts at the head of a card.
* `loopback` is a Hub on 127.0.0.1: it speaks enough of the real one's HTTP protocol that the real
  client cannot tell the difference for what a release does.
"""
