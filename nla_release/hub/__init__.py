"""Publishing a pair to the Hugging Face Hub, and a small Hub of our own to rehearse on.

* `place` reads how people write a place on the Hub, and brings files from there.
* `client` gives the Hub's client timeouts, `client_errors` its errors words. `questions` are what a
  Hub is asked through it, `remote` what is done there besides, `remote_state` what is found.
* `plan` says what a push would do: by `comparison` of the files, with the `blockers` in its way
  and what is `hand_written` on the card, which `merging` takes over. `predecessor` is the version
  before in repositories of its own.
* `push` does it, step by step: `act` is how far it has come, `once` what it does once whatever
  becomes of the answers, `journal` what it leaves behind, `staging` and `additions` are files on
  their way out, and `release_id` and `adoption` find what an earlier push has done. `payload` is
  what may leave, and `collection` where it is listed.
* `verify` downloads a release and judges it as a stranger finds it: `halves` are its repositories.
* `tokens` are from the environment or by `oidc`, and `masking` keeps them out of what is written.
* `card_metadata` is what the Hub accepts at the head of a card.
* `loopback` is a Hub on 127.0.0.1: it speaks enough of the real one's HTTP protocol that the real
  client cannot tell the difference for what a release does.
"""
