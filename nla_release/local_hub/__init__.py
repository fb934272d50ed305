"""A Hub on 127.0.0.1: the model-repository part of the Hugging Face Hub, on files, for rehearsals.

The real `huggingface_hub` client talks to it over HTTP, so a rehearsed push takes the same path as
a real one, down to the status codes. One way down, no module looks up:

    server      binds 127.0.0.1 and runs the application in a thread, or blocking for the CLI
    app         the application: routes, access, request log, errors to answers
    routes/     one module per topic: repositories, reading, refs, uploads, lfs
    access      who a request comes from, and which repository it may read or write
    publishers  CI jobs that get a token for one repository
    owner       the owner's token of a Hub that runs by itself
    bodies      request bodies, bounded and well-formed
    store       repositories on disk; importing a folder
    collections named lists of repositories
    discussions discussions and pull requests of one repository
    repository  one repository: immutable commits, and one file with everything that changes
    state       what changes about a repository, as a value
    commits     commits and changes as values
    blobs       content by sha256
    durable     files that outlive the machine's next moment
    git         the little of git that shows: blob ids, LFS pointers, attributes, ignore files
    names       which repository ids, paths and refs are acceptable
    errors      refusals, each with its HTTP status and the Hub's error code

Endpoints that exist, for repositories of type model:

* `whoami-v2`, `repos/create`, `repos/delete`, `validate-yaml`
* `models`: a list of repositories, by namespace and by a part of their ids, newest first if asked
* per repository: information (at any revision), `auth-check[/write]`, `settings` (visibility,
  gating), `refs`, `commits`, `tree`, `paths-info`, `preupload`, `commit` (also as a pull request),
  `tag`, `branch`, `super-squash`, `discussions` (also pull requests, up to the merge)
* LFS batch, upload (to signed addresses, as on the real Hub, in parts above 5 GB) and verify
* `resolve` with HEAD, GET, byte ranges and If-None-Match
* `collections` and their items
* `oauth/token`: a CI job's ID token for a token that writes to one repository. The only provider
  that this Hub believes is its own test issuer.

Endpoints that do not, and how the client takes it:

* Xet: its token route answers 404, which the client turns into a ConnectionError before any
  commit. Uploads must go through LFS: give `CommitOperationAdd` an open file.
* Repositories of other types: refused with 501, never half done.
* git (`git clone`): 501 with what to use instead. Commit ids here are no ids of git objects.
* Moves, likes, `lfs-files`, `compare`, `agent-harnesses`, web pages: 404.
* Rate limits, scans, paging and replication delays do not happen: every answer is immediate, whole.

Every change is on the disk before it is answered, and the store survives a kill at any moment:
blobs are complete before a commit names them, a commit is written before a ref points at it, and a
repository's refs change in one rename.
"""
